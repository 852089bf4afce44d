"""``recon-bench refinement``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smlm_bench.console import Folder, ModelName, bench_console, bench_door, grid, note
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.cli.options import Precision, precision_name

if TYPE_CHECKING:
    from smlm_bench.refinement.refined_beads import Beads

with imported_when_used():
    from smlm_bench.refinement import figure, films, measure, refined_beads
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

_BEADS_HEADS = ("film", "emitters / um2", "steps", "plain, %", "refined, %")


def refinement(
    model: ModelName = contract.RECONSTRUCTION.name,
    half: Annotated[
        str, typer.Option(metavar="choose|report|all", help="Films of the suite of structures.")
    ] = "all",
    precision: Precision = None,
    beads: Annotated[
        bool,
        typer.Option(
            "--beads",
            help="Measure beads at the camera's pixels alone, in plain and refined images.",
        ),
    ] = False,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw the picture of the page on refinement alone.")
    ] = False,
    output: Folder = Path("bench/refinement"),
) -> None:
    """Refine films of known truth, and show by how much their errors shrink or grow."""
    with bench_door():
        output.mkdir(parents=True, exist_ok=True)
        opened = open_engine(
            "local",
            model,
            timeout_s=Settings.timeout_s,
            precision=precision_name(precision),
        )
        with opened as engine:
            if picture:
                figure.write_figure(output / "refinement.png", engine, model)
                typer.echo(f"{output / 'refinement.png'} is written")
                return
            if beads:
                measured: list[Beads] = []
                for one in refined_beads.beads(half, engine, model):
                    measured.append(one)
                    note(f"{len(measured)} films: {one.film}, {one.refined_percent:.1f} %")
                _write_beads(measured, output / f"{model}-beads")
                return
            found: list[measure.Outcome] = []
            for film in (*films.suite_films(half), *films.hard_films()):
                found.append(measure.outcome(film, engine, model))
                note(f"{len(found)} films: {film.name}, {found[-1].worse_percent:+.1f} %")
        rows = [{**asdict(one), "worse_percent": one.worse_percent} for one in found]
        _write(output / model, rows, _as_markdown(found))


def _write_beads(found: Sequence[Beads], path: Path) -> None:
    """The film that has most of them after refinement on top."""
    ordered = sorted(found, key=lambda one: -one.refined_percent)
    rows = [
        [
            one.film,
            f"{one.density_per_um2:g}",
            "{}, {}".format(*one.steps),
            f"{one.plain_percent:.1f}",
            f"{one.refined_percent:.1f}",
        ]
        for one in ordered
    ]
    _write(path, [asdict(one) for one in ordered], grid(_BEADS_HEADS, rows) + "\n")


def _write(path: Path, rows: Sequence[dict[str, Any]], table: str) -> None:
    """Write results as JSON and Markdown, and print them."""
    path.with_name(f"{path.name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    path.with_name(f"{path.name}.md").write_text(table)
    bench_console().print(table, markup=False, soft_wrap=True)
    typer.echo(f"{path}.json and .md are written")


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
