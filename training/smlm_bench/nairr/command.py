"""``recon-bench nairr``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import Folder, bench_console, bench_door, note
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.cli.options import Precision, precision_name

with imported_when_used():
    from smlm_bench.nairr import films, score, table
    from smlm_bench.structures import network as networks
    from smlm_bench.table.results import check_output

JSON_FILE, MARKDOWN_FILE = "nairr.json", "nairr.md"


def nairr(
    network: Annotated[
        str,
        typer.Option(
            metavar="NETWORK",
            help="Name of a network of the model repository, an ONNX file, or the folder of a run.",
        ),
    ] = "unet",
    frames: Annotated[
        int, typer.Option(min=40, help="Frames of each film; the benchmark's have 1000.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of all films.")] = 0,
    precision: Precision = None,
    output: Folder = Path("bench/nairr"),
) -> None:
    """Score a network on the public benchmark NAIRR-SMLM, beside the published rows.

    The films are simulated by the benchmark's parameters: circles of 200
    emitters, Gaussian and Airy, at three densities.
    """
    with bench_door(), tempfile.TemporaryDirectory() as folder:
        check_output(output)
        engine, sha256 = networks.open_engine(network, Path(folder), precision_name(precision))
        found = []
        for result in score.results(engine, frames=frames, seed=seed):
            found.append(result)
            total = len(films.PSFS) * len(films.DENSITIES)
            note(f"{len(found)} of {total} films: {result.column}, {result.rmsmd_nm:.2f} nm")
        markdown = table.as_markdown(network, found)
        output.mkdir(parents=True, exist_ok=True)
        (output / JSON_FILE).write_text(
            table.as_json(network, sha256, str(engine.network.engine), found), encoding="utf-8"
        )
        (output / MARKDOWN_FILE).write_text(markdown, encoding="utf-8")
        bench_console().print(markdown, markup=False, soft_wrap=True)
        typer.echo(f"{output / JSON_FILE} and {MARKDOWN_FILE} are written")
