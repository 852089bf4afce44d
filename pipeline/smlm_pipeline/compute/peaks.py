"""Find the highest value of maps of shifts, to a part of a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUND_LEAST = 1e-3
"""Least determinant of a paraboloid's bends, over the product of those along the axes."""


def highest(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place (M, 2) of the highest value of each map (M, E, E), by a paraboloid through 3 x 3.

    The paraboloid may lie aslant: a sample of parallel lines has a ridge, not a round peak.
    """
    count, edge, _ = maps.shape
    row, column = np.divmod(maps[:, 1:-1, 1:-1].reshape(count, -1).argmax(axis=1), edge - 2)
    around = np.arange(3)
    chosen = row[:, None, None] + around[:, None], column[:, None, None] + around
    values = maps[(np.arange(count)[:, None, None], *chosen)]
    (slope_y, bend_y), (slope_x, bend_x) = (_parabola(values.mean(axis=axis)) for axis in (2, 1))
    corners = values[:, ::2, ::2]
    twist = (corners[:, 0, 0] + corners[:, 1, 1] - corners[:, 0, 1] - corners[:, 1, 0]) / 4
    determinant = bend_y * bend_x - twist**2
    peak = (bend_y < 0) & (bend_x < 0)
    aslant = peak & (determinant > _ROUND_LEAST * bend_y * bend_x)
    twist = np.where(aslant, twist, 0.0)
    determinant = np.where(aslant, determinant, np.where(peak, bend_y * bend_x, 1.0))
    y = np.where(peak, twist * slope_x - bend_x * slope_y, _vertex(slope_y, bend_y))
    x = np.where(peak, twist * slope_y - bend_y * slope_x, _vertex(slope_x, bend_x))
    tops = [np.clip(each / np.where(peak, determinant, 1.0), -1, 1) for each in (y, x)]
    return np.stack([row + 1 + tops[0], column + 1 + tops[1]], axis=1)


def _parabola(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and bend (M,) at the middle of parabolas through three values (M, 3)."""
    low, middle, high = values.T
    return (high - low) / 2, low - 2 * middle + high


def _vertex(slope: NDArray[np.float64], bend: NDArray[np.float64]) -> NDArray[np.float64]:
    """Top of parabolas, from their middle; 0 where there is none."""
    return np.where(bend < 0, -slope / np.where(bend < 0, bend, -1.0), 0.0)
