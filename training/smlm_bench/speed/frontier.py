"""``python -m smlm_bench.speed.frontier``: error against time of trained networks.

The errors are those that the cards state; the times are measured here, in turn on
the same frames with the same threads, so that their ratios mean something.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from rich.table import Table

from smlm_bench.console import bench_console
from smlm_bench.speed.networks import SIZE_PX, machine, reference_frames, timed_in_turn
from smlm_pipeline.compute.onnx_network import OnnxNetwork, available_cpus
from smlm_training.delivery.candidate import read_candidate
from smlm_training.delivery.card import SCORES

FILM = "evaluate"
BLUR_PX = 1
"""Of both images, in fine pixels: what the figure's axis of errors is for."""


@dataclass(frozen=True)
class Place:
    """Where a trained network lies: milliseconds a frame, and errors on the film ``FILM``."""

    network: str
    parameters: int
    steps: int
    ms_per_frame: float
    nmse_percent: tuple[float, float, float]
    sum_ratio: float


def main(
    networks: Annotated[
        list[Path], typer.Argument(help="ONNX files of 'recon-train export', with their cards.")
    ],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 5,
    output: Annotated[Path | None, typer.Option("-o", help="JSON file to write.")] = None,
    figure: Annotated[Path | None, typer.Option(help="PNG to write.")] = None,
) -> None:
    """Time trained networks side by side, and show their errors against it."""
    found = places(networks, rounds)
    bench_console().print(_table(found))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        told = {"machine": machine(), "film": FILM, "networks": [asdict(each) for each in found]}
        output.write_text(json.dumps(told, indent=2) + "\n")
    if figure is not None:
        figure.parent.mkdir(parents=True, exist_ok=True)
        _write_figure(figure, found)


def places(networks: list[Path], rounds: int) -> list[Place]:
    """Every network's place, the fastest first.

    Raises
    ------
    SettingError
        If there is no network, or no card beside it.
    ContractError
        If a network is another than its card tells of.
    """
    cards = [read_candidate(file, None).card for file in networks]
    sessions = {index: OnnxNetwork(file, intra_op_threads=0) for index, file in enumerate(networks)}
    times_ms = timed_in_turn(sessions, reference_frames(), rounds)
    found = [_place(card, float(np.median(times_ms[index]))) for index, card in enumerate(cards)]
    return sorted(found, key=lambda place: place.ms_per_frame)


def _place(card: dict[str, Any], ms_per_frame: float) -> Place:
    recipe, scores = card["training"]["recipe"], card[SCORES][FILM]
    return Place(
        recipe["network"],
        card["parameters"],
        recipe["steps"],
        ms_per_frame,
        tuple(scores["nmse_percent_at_blur_0_1_2_px"]),
        scores["emitters_found_over_true"],
    )


def _table(found: list[Place]) -> Table:
    table = Table(title=f"{machine()}; film {FILM!r}", title_justify="left")
    table.add_column("network", no_wrap=True)
    for heading in ("parameters", "steps", "ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("NMSE (%), blur 0 / 1 / 2", justify="right")  # to fit a terminal of 80
    table.add_column("found", justify="right", no_wrap=True)
    for each in found:
        table.add_row(
            each.network,
            f"{each.parameters:,}",
            f"{each.steps:,}",
            f"{each.ms_per_frame:.2f}",
            " / ".join(f"{value:.1f}" for value in each.nmse_percent),
            f"{each.sum_ratio:.3f}",
        )
    return table


def _write_figure(path: Path, found: list[Place]) -> None:
    """Error against time, both logarithmic; a line joins those that none beats in both."""
    page = Figure(figsize=(7.2, 4.8), layout="tight")
    axes = page.subplots()
    best = [
        each
        for each in found
        if all(_error(each) <= _error(other) for other in _faster(each, found))
    ]
    axes.plot(*_points(best), "-", color="0.6", zorder=1)
    axes.scatter(*_points(found), zorder=2)
    for each in found:
        axes.annotate(
            each.network,
            (each.ms_per_frame, _error(each)),
            textcoords="offset points",
            xytext=(6, 5),
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"ms a frame of {SIZE_PX} x {SIZE_PX} pixels, {available_cpus()} CPU threads",
        ylabel=f"NMSE (%) at a blur of {BLUR_PX} fine pixel",
        title=f"film '{FILM}', never seen in training",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.set_yticks([5, 10, 20, 50])
    axes.margins(x=0.25, y=0.12)
    axes.grid(alpha=0.3, which="both")
    page.savefig(path, dpi=120)


def _error(place: Place) -> float:
    return place.nmse_percent[BLUR_PX]


def _faster(place: Place, found: list[Place]) -> list[Place]:
    return [other for other in found if other.ms_per_frame < place.ms_per_frame]


def _points(found: list[Place]) -> tuple[list[float], list[float]]:
    return [each.ms_per_frame for each in found], [_error(each) for each in found]


if __name__ == "__main__":
    typer.run(main)
