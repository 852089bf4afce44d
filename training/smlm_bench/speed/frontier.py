"""Error of trained networks against their time.

The cards state the errors. The times are measured here, in turn on the same frames with the same
threads, so that their ratios hold; each network in the engine and the precision that clients use.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from rich.table import Table

from smlm_bench.machine import machine
from smlm_bench.speed.networks import FRAMES, SIZE_PX, reference_frames, timed_in_turn
from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.processor import available_cpus
from smlm_training.delivery.candidate import read_candidate
from smlm_training.delivery.card import SCORES

FILM = "evaluate"
BLUR_PX = 1
"""Blur of both images in SR pixels, for the errors in the figure."""


@dataclass(frozen=True)
class Place:
    """A trained network's place in the figure: milliseconds a frame, and errors on ``FILM``."""

    network: str
    engine: str
    precision: str
    parameters: int
    ms_per_frame: float
    nmse_percent: tuple[float, float, float]
    sum_ratio: float


def places(networks: list[Path], rounds: int, precision: str | None = None) -> list[Place]:
    """Time networks and read the errors that their cards state.

    Parameters
    ----------
    networks : list of Path
        ONNX files, each with its card beside it.
    rounds : int
        Rounds, of which the median counts.
    precision : str, optional
        That of all networks; by default those of their cards.

    Returns
    -------
    list of Place
        The fastest first.

    Raises
    ------
    SettingError
        If a network or its card is missing, or there is no such precision.
    ContractError
        If a card is of another network.
    """
    cards = [read_candidate(file, None).card for file in networks]
    opened = {index: open_network(file, precision=precision) for index, file in enumerate(networks)}
    times_ms = timed_in_turn(opened, reference_frames(), rounds)
    unsorted = (
        _place(card, opened[index].engine, float(np.median(times_ms[index])))
        for index, card in enumerate(cards)
    )
    return sorted(unsorted, key=lambda place: place.ms_per_frame)


def as_json(places: list[Place]) -> dict[str, Any]:
    """Machine, film and places, for a JSON file."""
    return {
        "machine": machine(),
        "frames": f"{FRAMES} of {SIZE_PX} x {SIZE_PX}",
        "film": FILM,
        "networks": [asdict(place) for place in places],
    }


def _place(card: dict[str, Any], engine: NetworkEngine, ms_per_frame: float) -> Place:
    scores = card[SCORES][FILM]
    return Place(
        card["training"]["recipe"]["network"],
        f"{engine.name} {engine.version}",
        engine.precision,
        card["parameters"],
        ms_per_frame,
        tuple(scores["nmse_percent_at_blur_0_1_2_px"]),
        scores["emitters_found_over_true"],
    )


def table(places: list[Place]) -> Table:
    """One row for each network, for the terminal."""
    rows = Table(title=f"{machine()}; film {FILM!r}", title_justify="left")
    rows.add_column("network", no_wrap=True)
    rows.add_column("in", no_wrap=True)
    for heading in ("parameters", "ms"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("NMSE (%), blur 0 / 1 / 2", justify="right")  # to fit a terminal of 80
    rows.add_column("found", justify="right", no_wrap=True)
    for place in places:
        rows.add_row(
            place.network,
            place.precision,
            f"{place.parameters:,}",
            f"{place.ms_per_frame:.2f}",
            " / ".join(f"{value:.1f}" for value in place.nmse_percent),
            f"{place.sum_ratio:.3f}",
        )
    return rows


def write_figure(path: Path, places: list[Place]) -> None:
    """Draw error against time; a line joins the networks that none beats in both."""
    page = Figure(figsize=(7.2, 4.8), layout="tight")
    axes = page.subplots()
    best = [place for place in places if _is_best(place, places)]
    axes.plot(*_points(best), "-", color="0.6", zorder=1)
    axes.scatter(*_points(places), zorder=2)
    for place in places:
        axes.annotate(
            place.network,
            (place.ms_per_frame, _error(place)),
            textcoords="offset points",
            xytext=(6, 5),
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"ms a frame of {SIZE_PX} x {SIZE_PX} pixels, {available_cpus()} CPU threads",
        ylabel=f"NMSE (%) at a blur of {BLUR_PX} SR pixel",
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


def _is_best(place: Place, places: list[Place]) -> bool:
    """Whether no faster network has a smaller error."""
    faster = (other for other in places if other.ms_per_frame < place.ms_per_frame)
    return all(_error(place) <= _error(other) for other in faster)


def _points(places: list[Place]) -> tuple[list[float], list[float]]:
    return [place.ms_per_frame for place in places], [_error(place) for place in places]
