"""The chart: ms a frame against its pixels, and seconds of a film against its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smlm_bench.speed.engines import (
    KERAS,
    LIMIT,
    LOCAL,
    OPENVINO_BF16,
    OPENVINO_F32,
    PEER_KERAS,
    PEER_ONNX,
    SIDE_BY_SIDE,
    TRITON,
)
from smlm_bench.speed.measure import AGAINST_PIXELS, Line, best_batches

if TYPE_CHECKING:
    from smlm_bench.speed.run import Figures

_LOOKS = {
    PEER_KERAS: ("tab:red", "P"),
    PEER_ONNX: ("tab:pink", "D"),
    KERAS: ("tab:orange", "v"),
    TRITON: ("tab:green", "^"),
    LOCAL: ("tab:blue", "s"),
    LIMIT: ("0.25", "o"),
    SIDE_BY_SIDE: ("0.6", "X"),
    OPENVINO_F32: ("tab:cyan", "<"),
    OPENVINO_BF16: ("tab:purple", ">"),
}
"""Colour and marker, the slowest first: points of the engines are close together."""


def write_speed_figure(path: Path, figures: Figures, title: str) -> None:
    """Both panels logarithmic; the best batch of each, with the range of its rounds.

    Lines are the fits that the report states.
    """
    page = Figure(figsize=(11.0, 5.4), layout="constrained")
    left, right = page.subplots(1, 2)
    best = best_batches(figures.speeds)
    for name, (colour, marker) in _LOOKS.items():
        points = [each for each in best if each.name == name]
        pixels = [each.size_px**2 for each in points]
        ms = [each.ms_per_frame for each in points]
        low = [each.ms_per_frame - each.fastest_ms for each in points]
        high = [each.slowest_ms - each.ms_per_frame for each in points]
        left.errorbar(
            pixels, ms, yerr=[low, high], fmt=marker, color=colour, capsize=3, label=name, ms=5
        )
        films = [each for each in figures.films if each.name == name]
        frames = [each.frames for each in films]
        right.plot(frames, [each.seconds for each in films], marker, color=colour, ms=5)
        for line in (each for each in figures.lines if each.name == name):
            if line.against == AGAINST_PIXELS:
                _draw(left, line, pixels, colour)
            else:
                _draw(right, line, frames, colour)
    sizes = sorted({each.size_px for each in best})
    left.set(xscale="log", yscale="log", xlabel="pixels of a frame", ylabel="ms a frame")
    left.set_xticks([size**2 for size in sizes], [f"{size} x {size}" for size in sizes])
    left.set_title("a frame", fontsize=10)
    if lengths := sorted({each.frames for each in figures.films}):
        right.set(xscale="log", yscale="log", xlabel="frames of a film", ylabel="seconds")
        right.set_title(f"films of {sizes[0]} x {sizes[0]} pixels", fontsize=10)
        right.set_xticks(lengths, [str(each) for each in lengths], rotation=45)
    for axes in (left, right):
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
    page.suptitle(f"{title}. Lines: fits", fontsize=9, wrap=True)
    page.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    page.savefig(path, dpi=120)


def _draw(axes: Axes, line: Line, x: Sequence[int], colour: str) -> None:
    """Where a logarithmic axis can show it."""
    places = np.geomspace(min(x), max(x))
    values = line.offset + line.slope * places
    seen = values > 0
    axes.plot(places[seen], values[seen], color=colour, alpha=0.5, linewidth=1)
