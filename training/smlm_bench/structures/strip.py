"""A picture to look at: truth and image of each film side by side, the worst film first."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from smlm_bench.structures.report import worst_first
from smlm_bench.structures.scores import BLUR
from smlm_bench.structures.suite import Outcome
from smlm_training.scoring.evaluate import blurred, equal_sum

VIEW_PX = 256
"""Edge of the part that is shown, the middle of the field, in SR pixels: 3.2 um."""

VIEW_BLUR_PX = 1.0
"""Blur of truth and image, in SR pixels."""

FILMS_A_ROW = 3

_WHITE_PERCENTILE = 99.5
_PANEL_INCHES = 1.9
_DPI = 130
_COLOURS = 64


def write_strip(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write truth (left) and image (right) of each film, at one white level, as PNG.

    Images are scaled to the sum of the truth, as for the NMSE.
    """
    ordered = worst_first(outcomes)
    rows = -(-len(ordered) // FILMS_A_ROW)
    size = (2 * FILMS_A_ROW * _PANEL_INCHES, rows * (_PANEL_INCHES + 0.3))
    figure = Figure(figsize=size, facecolor="black", dpi=_DPI)
    panels = figure.subplots(rows, 2 * FILMS_A_ROW, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for place, outcome in enumerate(ordered):
        row, column = divmod(place, FILMS_A_ROW)
        truth = outcome.truth.astype(np.float64)
        views = [_view(truth), _view(equal_sum(outcome.image, truth))]
        lit = views[0][views[0] > 0]
        white = float(np.percentile(lit, _WHITE_PERCENTILE)) if len(lit) else 1.0
        for axes, view in zip(panels[row, 2 * column :], views, strict=False):
            axes.imshow(view, cmap=mpl.colormaps["hot"], vmin=0, vmax=white)
        nmse = outcome.scores.image.nmse_percent[BLUR]
        title = f"{outcome.line.name}: {nmse:.1f} %, {outcome.scores.excess:.1f} x ideal"
        panels[row, 2 * column].set_title(title, color="white", fontsize=7, loc="left")
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.3 / size[1], 0.03, 0.16)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", facecolor="black")
    # A third of the size: the colours are those of one scale.
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(path, optimize=True)


def _view(image: NDArray[np.float64]) -> NDArray[np.float64]:
    first = (len(image) - VIEW_PX) // 2
    middle = slice(first, first + VIEW_PX)
    return blurred(image, VIEW_BLUR_PX)[middle, middle]
