"""``recon-bench structures``."""

from __future__ import annotations

import enum
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_console, bench_door, note
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.cli.options import Precision, precision_name
from smlm_pipeline.settings import Settings

with imported_when_used():
    from smlm_bench.structures import film_files, films, report, strip, suite
    from smlm_bench.structures import network as networks
    from smlm_bench.table.results import check_output


class Half(str, enum.Enum):
    """Films of the suite."""

    CHOOSE = "choose"
    REPORT = "report"
    ALL = "all"


JSON_FILE, MARKDOWN_FILE, STRIP_FILE = "structures.json", "structures.md", "structures.png"


def structures(
    network: Annotated[
        str,
        typer.Option(
            metavar="NETWORK",
            help="Name of a network of the model repository, an ONNX file, or the folder of a run.",
        ),
    ] = "unet",
    half: Annotated[
        Half,
        typer.Option(
            help="The films that networks are chosen by, those that are reported, or both.",
        ),
    ] = Half.CHOOSE,
    precision: Precision = None,
    brightness: Annotated[
        str, typer.Option(metavar="auto|off", help="As of 'recon-client submit'.")
    ] = Settings.brightness,
    write: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Score nothing: write this film, and its true positions, into the folder.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write to, for one network.")
    ] = Path("bench/structures"),
) -> None:
    """Score a network on films of structures that training cannot make.

    Networks are chosen by the half "choose" and reported by the half "report",
    never by the same films. Run the same command to continue an interrupted run.
    With --write, a film of docs/structures.md becomes stack.tif and positions.csv,
    for 'recon-bench table' or any other program.
    """
    if write is not None:
        with bench_door():
            _write(write, output)
        return
    with (
        bench_door(if_interrupted="the same command continues it"),
        tempfile.TemporaryDirectory() as folder,
    ):
        lines = films.film_lines(half.value)
        check_output(output)
        engine, sha256 = networks.open_engine(network, Path(folder), precision_name(precision))
        started, found = time.monotonic(), []
        made = suite.outcomes(
            lines,
            engine,
            network_sha256=sha256,
            folder=output / "films",
            note=note,
            brightness=brightness,
        )
        for outcome in made:
            found.append(outcome)
            note(
                f"{len(found)} of {len(lines)} films, {time.monotonic() - started:.0f} s: "
                f"{outcome.line.name}, NMSE {outcome.scores.image.nmse_percent[1]:.1f} %, "
                f"{outcome.scores.excess:.1f} times the ideal"
            )
        tested = report.Tested(network, sha256, str(engine.network.engine), half.value)
        markdown = report.as_markdown(tested, found)
        (output / JSON_FILE).write_text(report.as_json(tested, found), encoding="utf-8")
        (output / MARKDOWN_FILE).write_text(
            f"{markdown}\n{report.films_as_markdown(lines)}", encoding="utf-8"
        )
        strip.write_strip(output / STRIP_FILE, found)
        bench_console().print(markdown, markup=False, soft_wrap=True)
        typer.echo(f"{output / JSON_FILE}, {MARKDOWN_FILE} and {STRIP_FILE} are written")


def _write(name: str, folder: Path) -> None:
    """Write a film, and show how to compare all methods on it."""
    line = film_files.named_line(name)
    check_output(folder)
    written = film_files.write_film(folder, line)
    typer.echo(
        f"{folder / film_files.FILM} ({line.frames} frames) and {film_files.POSITIONS} "
        f"({written.emitters:,} molecules) are written; compare all methods on it with:"
    )
    typer.echo(f"recon-bench table {written.table_options(folder)} -o bench/table")
