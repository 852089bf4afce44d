"""``recon-bench disturb``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import Folder, bench_console, bench_door, grid, note
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.model_repository import find_model_repository, network_file

with imported_when_used():
    from rich.table import Table

    from smlm_bench.disturb import measure
    from smlm_pipeline.compute.onnx_network import OnnxNetwork


def disturb(
    network: Annotated[
        Path | None, typer.Option(help="ONNX network; by default the one that is shipped.")
    ] = None,
    output: Folder = Path("bench"),
) -> None:
    """Disturb three films as instruments do, and compare the images with what is to be found."""
    with bench_door():
        file = network or network_file(find_model_repository(), "unet")
        session = OnnxNetwork(file, intra_op_threads=0)
        found: list[measure.Outcome] = []
        for name, scene in measure.FILMS.items():
            note(f"{name}: {scene.frames} frames of {scene.height_px} x {scene.width_px} pixels")
            found += measure.outcomes(session, name, scene)
        table = Table("film", "disturbance", "sum / true", "NMSE, %", "drawn outside")
        for one in found:
            numbers = f"{one.sum_ratio:.3f}", f"{one.nmse_percent:.1f}", f"{one.outside_ratio:.3f}"
            table.add_row(one.film, one.disturbance, *numbers)
        bench_console().print(table)
        output.mkdir(parents=True, exist_ok=True)
        rows = [asdict(one) for one in found]
        (output / "disturb.json").write_text(json.dumps(rows, indent=2) + "\n")
        (output / "disturb.md").write_text(_as_markdown(found))
        typer.echo(f"{output / 'disturb.json'} and disturb.md are written")


def _as_markdown(found: Sequence[measure.Outcome]) -> str:
    """A row for each disturbance; sum over truth and NMSE in percent for each film."""
    films = list(dict.fromkeys(one.film for one in found))
    by_name = {(one.disturbance, one.film): one for one in found}
    rows = []
    for kind in dict.fromkeys(one.disturbance for one in found):
        cells = [by_name[kind, film] for film in films]
        numbers = (f"{one.sum_ratio:.3f}, {one.nmse_percent:.1f}" for one in cells)
        rows.append([kind, *numbers])
    return grid(["disturbance", *(f"{film}: sum, NMSE" for film in films)], rows) + "\n"
