"""The chart: ms a frame against its pixels, and seconds of a film against its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smlm_training.comparison.speed.measure import FilmTime, Speed, best_batches
from smlm_training.comparison.speed.names import (
    KERAS,
    LIMIT,
    LOCAL,
    PEER_KERAS,
    PEER_ONNX,
    TRITON,
)

_LOOKS = {
    LIMIT: ("0.25", "o"),
    LOCAL: ("tab:blue", "s"),
    TRITON: ("tab:green", "^"),
    KERAS: ("tab:orange", "v"),
    PEER_ONNX: ("tab:pink", "D"),
    PEER_KERAS: ("tab:red", "P"),
}
"""Colour and marker: points of the engines lie close together."""


def write_speed_figure(
    path: Path, speeds: Sequence[Speed], films: Sequence[FilmTime], title: str
) -> None:
    """Both panels logarithmic; the best batch of each, with the range of its rounds.

    Dotted lines show what is proportional, through the first point of each.
    """
    page = Figure(figsize=(11.0, 5.2), layout="constrained")
    left, right = page.subplots(1, 2)
    best = best_batches(speeds)
    for name in _names(best):
        points = [each for each in best if each.name == name]
        pixels = [each.size_px**2 for each in points]
        ms = [each.ms_per_frame for each in points]
        low = [each.ms_per_frame - each.fastest_ms for each in points]
        high = [each.slowest_ms - each.ms_per_frame for each in points]
        colour, marker = _LOOKS[name]
        left.errorbar(
            pixels, ms, yerr=[low, high], fmt=marker, color=colour, capsize=3, label=name, ms=5
        )
        _proportional(left, pixels, ms, colour)
    for name in _names(films):
        of_name = [each for each in films if each.name == name]
        frames = [each.frames for each in of_name]
        seconds = [each.seconds for each in of_name]
        colour, marker = _LOOKS[name]
        right.plot(frames, seconds, marker, color=colour, ms=5)
        _proportional(right, frames, seconds, colour)
    sizes = list(dict.fromkeys(each.size_px for each in best))
    left.set(xscale="log", yscale="log", xlabel="pixels of a frame", ylabel="ms a frame")
    left.set_xticks([size**2 for size in sizes], [f"{size} x {size}" for size in sizes])
    right.set(xscale="log", yscale="log", xlabel="frames of a film", ylabel="seconds")
    right.set_title(f"films of {min(sizes)} x {min(sizes)} pixels", fontsize=10)
    left.set_title("a frame", fontsize=10)
    right.xaxis.set_major_formatter("{x:g}")
    for axes in (left, right):
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
    page.suptitle(f"{title}. Dotted: proportional", fontsize=9, wrap=True)
    page.legend(loc="outside lower center", ncols=len(_LOOKS), fontsize=9, frameon=False)
    page.savefig(path, dpi=120)


def _names(timed: Sequence[Speed | FilmTime]) -> list[str]:
    return list(dict.fromkeys(each.name for each in timed))


def _proportional(axes: Axes, x: Sequence[int], y: Sequence[float], colour: str) -> None:
    """Through the first point, as far as the last."""
    axes.plot([x[0], x[-1]], [y[0], y[0] * x[-1] / x[0]], ":", color=colour, alpha=0.6)
