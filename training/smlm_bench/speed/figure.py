"""The chart: ms a frame against its pixels, for each network in every engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smlm_bench.speed.engines import (
    KERAS,
    LOCAL,
    ONNX,
    OPENVINO_BF16,
    OPENVINO_F32,
    OPENVINO_LAYERS,
    PEER,
    TRITON,
    titled,
)
from smlm_bench.speed.measure import AGAINST_PIXELS, Line, Speed, best_ways

_LOOKS = {
    KERAS: ("tab:orange", "v"),
    ONNX: ("0.25", "o"),
    OPENVINO_F32: ("tab:cyan", "<"),
    OPENVINO_BF16: ("tab:purple", ">"),
    OPENVINO_LAYERS: ("tab:pink", "d"),
    LOCAL: ("tab:blue", "s"),
    TRITON: ("tab:green", "^"),
}
"""Colour and marker of each engine."""


def write_speed_figure(
    path: Path, speeds: Sequence[Speed], lines: Sequence[Line], title: str
) -> None:
    """A logarithmic panel for each network; the best way of each engine, with its range.

    Lines are the fits that the report states. Deep-STORM's speeds in ONNX Runtime are in each
    panel.
    """
    best = best_ways(speeds)
    networks = [name for name in dict.fromkeys(each.network for each in best) if name != PEER]
    page = Figure(figsize=(5.5 * len(networks), 5.4), layout="constrained")
    panels = page.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    sizes = sorted({each.size_px for each in best})
    for axes, network in zip(panels, networks, strict=True):
        for engine in _LOOKS:
            _draw(axes, network, engine, best, lines)
        _draw(axes, PEER, ONNX, best, lines)
        axes.set(xscale="log", yscale="log", xlabel="pixels of a frame", title=network)
        axes.set_xticks([size**2 for size in sizes], [f"{size} x {size}" for size in sizes])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("ms a frame")
    page.suptitle(f"{title}. Lines: fits", fontsize=9, wrap=True)
    handles, labels = panels[0].get_legend_handles_labels()
    page.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    page.savefig(path, dpi=120)


def _draw(
    axes: Axes, network: str, engine: str, best: Sequence[Speed], lines: Sequence[Line]
) -> None:
    """Points with their ranges, and the fitted line where a logarithmic axis can show it."""
    points = [each for each in best if (each.network, each.engine) == (network, engine)]
    if not points:
        return
    colour, marker = ("tab:red", "P") if network == PEER else _LOOKS[engine]
    label = titled(network, engine) if network == PEER else engine
    pixels = [each.size_px**2 for each in points]
    ms = [each.ms_per_frame for each in points]
    medians = [each.median for each in ms]
    ranges = [[each.median - each.low for each in ms], [each.high - each.median for each in ms]]
    axes.errorbar(
        pixels, medians, yerr=ranges, fmt=marker, color=colour, capsize=3, label=label, ms=5
    )
    for line in lines:
        if line.name == titled(network, engine) and line.against == AGAINST_PIXELS:
            places = np.geomspace(min(pixels), max(pixels))
            values = line.offset + line.slope * places
            seen = values > 0
            axes.plot(places[seen], values[seen], color=colour, alpha=0.5, linewidth=1)
