"""Curves over an axis as a PNG, drawn with Pillow: no package for plots is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.output.micro_sign import drawable, pieces_of

_SIZE_PX = (1200, 700)
_LEFT, _RIGHT, _TOP, _BOTTOM = 110, 40, 70, 90
_INK, _GRID, _TEXT_PX = (30, 30, 30), (222, 222, 222), 24
_COLOURS = ((0, 90, 181), (220, 50, 32), (110, 110, 110), (0, 130, 80))
"""Colours that people with any colour vision tell apart."""


@dataclass(frozen=True)
class Curve:
    """One curve: its name in the legend, and x and y (K,); values that are no number are gaps."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Axes:
    """Title and labels; ``y_range`` is chosen by the curves where it is None."""

    title: str
    x_label: str
    y_label: str
    y_range: tuple[float, float] | None = None


def write_plot(path: Path, axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw curves, with ticks at round numbers, a grid and a legend.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    axes : Axes
        What is drawn.
    curves : sequence of Curve
        One or more, at most four, of one point or more.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    picture = Image.new("RGB", _SIZE_PX, "white")
    canvas = ImageDraw.Draw(picture)
    x = Scale.of(np.concatenate([curve.x for curve in curves]), None)
    y = Scale.of(np.concatenate([curve.y for curve in curves]), axes.y_range)
    _draw_frame(canvas, axes, x, y)
    for curve, colour in zip(curves, _COLOURS, strict=False):
        _draw_curve(canvas, curve, x, y, colour)
    _draw_legend(canvas, curves)
    with written_whole(path) as file:
        picture.save(file, format="PNG")


@dataclass(frozen=True)
class Scale:
    """Ends of an axis, at round numbers, and the distance of its ticks."""

    low: float
    high: float
    step: float

    @classmethod
    def of(cls, values: NDArray[np.float64], ends: tuple[float, float] | None) -> Scale:
        """The scale of some values, or between two ends."""
        known = values[np.isfinite(values)]
        low, high = ends or (float(known.min(initial=0)), float(known.max(initial=0)))
        if ends is None and len(known):
            low, high = float(known.min()), float(known.max())
        extent = (high - low) or 1.0
        decade = 10.0 ** math.floor(math.log10(extent / 5))
        step = next(each * decade for each in (1, 2, 5, 10) if extent / (each * decade) <= 7)
        if ends is None:
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        return cls(low, high if high > low else low + step, step)

    def shares(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places between the ends, 0 to 1."""
        return (values - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> NDArray[np.float64]:
        """Round numbers from end to end."""
        first, last = (
            math.ceil(self.low / self.step - 1e-9),
            math.floor(self.high / self.step + 1e-9),
        )
        return np.arange(first, last + 1) * self.step


def _column(share: float) -> float:
    return _LEFT + share * (_SIZE_PX[0] - _LEFT - _RIGHT)


def _row(share: float) -> float:
    return _SIZE_PX[1] - _BOTTOM - share * (_SIZE_PX[1] - _TOP - _BOTTOM)


def _draw_frame(canvas: ImageDraw.ImageDraw, axes: Axes, x: Scale, y: Scale) -> None:
    """Grid, ticks, labels and title."""
    font, large = ImageFont.load_default(_TEXT_PX), ImageFont.load_default(_TEXT_PX + 4)
    for value in x.ticks.tolist():
        column = _column(float(x.shares(np.array(value))))
        canvas.line((column, _row(0), column, _row(1)), _GRID)
        canvas.text((column, _row(0) + 8), tick_label(value), _INK, font, "mt")
    for value in y.ticks.tolist():
        row = _row(float(y.shares(np.array(value))))
        canvas.line((_column(0), row, _column(1), row), _GRID)
        canvas.text((_column(0) - 10, row), tick_label(value), _INK, font, "rm")
    canvas.rectangle((_column(0), _row(1), _column(1), _row(0)), outline=_INK)
    start_px = _column(0.5) - font.getlength(drawable(axes.x_label)) / 2
    base_px = _SIZE_PX[1] - 14 - 0.25 * _TEXT_PX
    for column, row, text in pieces_of(axes.x_label, start_px, base_px, font, _TEXT_PX):
        canvas.text((column, row), text, _INK, font, "ls")
    canvas.text((_column(0), 14), axes.title, _INK, large, "lt")
    canvas.text((_column(0), _row(1) - 6), axes.y_label, _INK, font, "lb")


def _draw_curve(
    canvas: ImageDraw.ImageDraw, curve: Curve, x: Scale, y: Scale, colour: tuple[int, int, int]
) -> None:
    """A line through the points, in pieces where values are missing."""
    known = np.isfinite(curve.x) & np.isfinite(curve.y)
    across, up = x.shares(curve.x), np.clip(y.shares(curve.y), 0, 1)
    pieces = np.split(np.arange(len(known)), np.flatnonzero(np.diff(known)) + 1)
    for piece in pieces:
        if known[piece[0]]:
            points = [
                (_column(a), _row(b))
                for a, b in zip(across[piece].tolist(), up[piece].tolist(), strict=True)
            ]
            canvas.line(points if len(points) > 1 else points * 2, colour, 3, "curve")


def _draw_legend(canvas: ImageDraw.ImageDraw, curves: Sequence[Curve]) -> None:
    """Names beside pieces of their lines, from the right end of the line above the curves."""
    font = ImageFont.load_default(_TEXT_PX)
    right, row = _column(1), _row(1) - 6 - _TEXT_PX / 2
    for curve, colour in reversed(list(zip(curves, _COLOURS, strict=False))):
        left = right - font.getlength(curve.name)
        canvas.text((left, row), curve.name, _INK, font, "lm")
        canvas.line((left - 44, row, left - 10, row), colour, 5)
        right = left - 70


def tick_label(value: float) -> str:
    """A number beside a tick."""
    return f"{value:,.6g}" if abs(value) > 1e-12 else "0"
