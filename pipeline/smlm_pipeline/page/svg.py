"""Curves and histograms as SVG, for a page: sharp at any size, and in print."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.output.plot import Axes, Curve, Scale, tick_label

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 26, 46
COLOURS = ("#005ab5", "#dc3220", "#666666", "#00824f")
"""Colours that people with any colour vision tell apart, dark on white."""

_DASHES = ("", "", "6 4", "2 3")


def curves_svg(axes: Axes, curves: Sequence[Curve], *, from_zero: bool = False) -> str:
    """Draw curves, with ticks at round numbers, a grid and a legend.

    Parameters
    ----------
    axes : Axes
        What is drawn; the title is read to those who do not see it.
    curves : sequence of Curve
        One or more, at most four; values that are no number are gaps.
    from_zero : bool
        Whether the axis of y begins at 0.
    """
    x = Scale.of(np.concatenate([curve.x for curve in curves]), None)
    values = np.concatenate([curve.y for curve in curves])
    y = Scale.of(np.append(values, 0.0) if from_zero else values, axes.y_range)
    parts = [*_frame(axes, x.ticks, x, y)]
    for place, curve in enumerate(curves):
        colour, dash = COLOURS[place], _DASHES[place]
        for piece in _pieces(curve):
            across, up = x.shares(curve.x[piece]), np.clip(y.shares(curve.y[piece]), 0, 1)
            points = " ".join(
                f"{_column(a):.1f},{_row(b):.1f}"
                for a, b in zip(across.tolist(), up.tolist(), strict=True)
            )
            if len(piece) > 1:
                parts.append(
                    f'<polyline points="{points}" fill="none" stroke="{colour}" '
                    f'stroke-width="1.8" stroke-dasharray="{dash}"/>'
                )
            else:
                column, row = points.split(",")
                parts.append(f'<circle cx="{column}" cy="{row}" r="2.5" fill="{colour}"/>')
    return _svg(axes.title, [*parts, *_legend([curve.name for curve in curves])])


def bars_svg(
    axes: Axes,
    edges: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    logarithmic: bool = False,
    marked: float | None = None,
) -> str:
    """Draw a histogram: counts (B,) between edges (B + 1,), with a line at ``marked``.

    Parameters
    ----------
    axes : Axes
        What is drawn.
    edges : ndarray, shape (B + 1,), float64
        Ascending; above 0 where the axis is logarithmic.
    counts : ndarray, shape (B,), float64
        Heights of the bars.
    logarithmic : bool
        Whether the axis of x is.
    marked : float, optional
        A value to mark, as the median.
    """
    places = np.log10(edges) if logarithmic else edges
    low, high = float(places[0]), float(places[-1])
    x = Scale.of(places, (low, high if high > low else low + 1))
    y = Scale.of(np.append(counts, 0.0), None)
    ticks = _log_ticks(low, high) if logarithmic else x.ticks
    parts = [*_frame(axes, ticks, x, y, logarithmic=logarithmic)]
    columns = [_column(share) for share in x.shares(places).tolist()]
    for left, right, share in zip(columns, columns[1:], y.shares(counts).tolist(), strict=False):
        size = f'width="{max(right - left - 0.4, 0.4):.2f}" height="{_row(0) - _row(share):.1f}"'
        parts.append(f'<rect x="{left:.2f}" y="{_row(share):.1f}" {size} fill="{COLOURS[0]}"/>')
    if marked is not None:
        place = np.log10(marked) if logarithmic else marked
        column = _column(float(x.shares(np.array(place))))
        style = f'stroke="{COLOURS[1]}" stroke-width="1.5" stroke-dasharray="5 3"'
        parts.append(_line((column, column), (_row(0), _row(1)), style))
    return _svg(axes.title, parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    name, size = html.escape(title, quote=True), f"0 0 {_WIDTH} {_HEIGHT}"
    return f'<svg viewBox="{size}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _column(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _row(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _line(columns: tuple[float, float], rows: tuple[float, float], style: str) -> str:
    (x1, x2), (y1, y2) = columns, rows
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" {style}/>'


def _label(column: float, row: float, text: str, anchor: str = "start") -> str:
    escaped = html.escape(text)
    return f'<text x="{column:.1f}" y="{row:.1f}" text-anchor="{anchor}">{escaped}</text>'


def _frame(
    axes: Axes, x_ticks: NDArray[np.float64], x: Scale, y: Scale, *, logarithmic: bool = False
) -> Iterator[str]:
    """Grid, ticks and labels."""
    left, right, bottom, top = _column(0), _column(1), _row(0), _row(1)
    for value in x_ticks.tolist():
        column = _column(float(x.shares(np.array(value))))
        name = tick_label(10**value if logarithmic else value)
        yield _line((column, column), (bottom, top), 'class="grid"')
        yield _label(column, bottom + 16, name, "middle")
    for value in y.ticks.tolist():
        row = _row(float(y.shares(np.array(value))))
        yield _line((left, right), (row, row), 'class="grid"')
        yield _label(left - 6, row + 4, tick_label(value), "end")
    size = f'width="{right - left}" height="{bottom - top}"'
    yield f'<rect class="frame" x="{left}" y="{top}" {size}/>'
    yield _label(_column(0.5), _HEIGHT - 8, axes.x_label, "middle")
    yield _label(left, top - 9, axes.y_label)


def _legend(names: Sequence[str]) -> Iterator[str]:
    """Names beside pieces of their lines, from the right; none for a single curve."""
    if len(names) < 2:
        return
    right, row = _column(1), _row(1) - 9
    for place in reversed(range(len(names))):
        yield _label(right, row, names[place], "end")
        right -= 7.2 * len(names[place]) + 8
        style = f'stroke="{COLOURS[place]}" stroke-width="2.5" stroke-dasharray="{_DASHES[place]}"'
        yield _line((right - 26, right), (row - 4, row - 4), style)
        right -= 40


def _log_ticks(low: float, high: float) -> NDArray[np.float64]:
    """Logarithms of round numbers, the more of each decade the fewer decades there are."""
    steps: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if high - low < 1 else (1.0, 2.0, 5.0)
    steps = steps if high - low < 2.5 else (1.0,)
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    ticks = np.array([decade + np.log10(step) for decade in decades for step in steps])
    return ticks[(ticks >= low) & (ticks <= high)]


def _pieces(curve: Curve) -> list[NDArray[np.int64]]:
    """Places of a curve's points between its gaps."""
    known = np.isfinite(curve.x) & np.isfinite(curve.y)
    pieces = np.split(np.arange(len(known)), np.flatnonzero(np.diff(known)) + 1)
    return [piece for piece in pieces if piece.size and known[piece[0]]]
