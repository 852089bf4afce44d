"""The chart: ms a frame against its pixels, each engine with the line through its points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from smlm_training.comparison.speed.measure import Speed


def write_speed_figure(path: Path, speeds: Sequence[Speed], title: str) -> None:
    """Both axes logarithmic; the best batch of each, with the range of its rounds.

    A dotted line shows what is proportional to pixels, through the first point.
    """
    page = Figure(figsize=(8.0, 5.4), layout="tight")
    axes = page.subplots()
    for name in dict.fromkeys(each.name for each in speeds):
        sizes = sorted({each.size_px for each in speeds if each.name == name})
        best = [
            min(
                (each for each in speeds if each.name == name and each.size_px == size),
                key=lambda each: each.ms_per_frame,
            )
            for size in sizes
        ]
        pixels = np.array([size**2 for size in sizes])
        ms = np.array([each.ms_per_frame for each in best])
        low = ms - [each.fastest_ms for each in best]
        high = np.array([each.slowest_ms for each in best]) - ms
        (drawn, *_) = axes.errorbar(pixels, ms, yerr=[low, high], fmt="o-", capsize=3, label=name)
        axes.plot(pixels, ms[0] * pixels / pixels[0], ":", color=drawn.get_color(), alpha=0.5)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="pixels of a frame (dotted: proportional)",
        ylabel="ms a frame",
    )
    axes.set_title(title, fontsize=9, wrap=True)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=9)
    page.savefig(path, dpi=120)
