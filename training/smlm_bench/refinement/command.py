"""``recon-bench refinement``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import Folder, ModelName, bench_console, bench_door, grid, note
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used

with imported_when_used():
    from smlm_bench.refinement import figure, films, measure
    from smlm_pipeline.engines.opening import open_engine
    from smlm_pipeline.settings import Settings

_HEADS = (
    "film",
    "emitters",
    "steps",
    "grain, px",
    "stopped by",
    "plain NMSE 0 / 1 / 2, %",
    "refined",
    "worst change, %",
)


def refinement(
    model: ModelName = contract.RECONSTRUCTION.name,
    half: Annotated[
        str, typer.Option(metavar="choose|report|all", help="Films of the suite of structures.")
    ] = "all",
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="f32|bf16", help="Precision of the network; by default that of its card."
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw the picture of the page on refinement alone.")
    ] = False,
    output: Folder = Path("bench/refinement"),
) -> None:
    """Refine films of known truth, and show by how much their errors shrink or grow."""
    with bench_door():
        output.mkdir(parents=True, exist_ok=True)
        opened = open_engine("local", model, timeout_s=Settings.timeout_s, precision=precision)
        with opened as engine:
            if picture:
                figure.write_figure(output / "refinement.png", engine, model)
                typer.echo(f"{output / 'refinement.png'} is written")
                return
            found: list[measure.Outcome] = []
            for film in (*films.suite_films(half), *films.hard_films()):
                found.append(measure.outcome(film, engine, model))
                note(f"{len(found)} films: {film.name}, {found[-1].worse_percent:+.1f} %")
        table = _as_markdown(found)
        rows = [{**asdict(one), "worse_percent": one.worse_percent} for one in found]
        (output / f"{model}.json").write_text(json.dumps(rows, indent=1) + "\n")
        (output / f"{model}.md").write_text(table)
        bench_console().print(table, markup=False, soft_wrap=True)
        typer.echo(f"{output / model}.json and .md are written")


def _as_markdown(found: Sequence[measure.Outcome]) -> str:
    """A row a film, that whose error grows most on top."""
    ordered = sorted(found, key=lambda one: -one.worse_percent)
    rows = [
        [
            one.film,
            f"{one.emitters:,.0f}",
            f"{one.refinement['steps']}",
            f"{one.refinement['grain_px']:g}",
            one.refinement["stopped_by"],
            _three(one.plain_nmse_percent),
            _three(one.refined_nmse_percent),
            f"{one.worse_percent:+.1f}",
        ]
        for one in ordered
    ]
    return grid(_HEADS, rows) + "\n"


def _three(values: Sequence[float] | None) -> str:
    return "-" if values is None else " / ".join(f"{value:.1f}" for value in values)
