"""Find the highest value of maps of shifts, to a part of a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def highest(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place (M, 2) of the highest value of each map (M, E, E), by a parabola through 3 x 3."""
    count, edge, _ = maps.shape
    row, column = np.divmod(maps[:, 1:-1, 1:-1].reshape(count, -1).argmax(axis=1), edge - 2)
    around = np.arange(3)
    chosen = row[:, None, None] + around[:, None], column[:, None, None] + around
    values = maps[(np.arange(count)[:, None, None], *chosen)]
    tops = [row + 1 + _vertex(values.mean(axis=2)), column + 1 + _vertex(values.mean(axis=1))]
    return np.stack(tops, axis=1)


def _vertex(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Top of parabolas through three values (M, 3), from the middle one; at most one away."""
    low, middle, high = values.T
    bend = low - 2 * middle + high
    safe = np.where(bend < 0, bend, -1.0)
    return np.where(bend < 0, np.clip((low - high) / (2 * safe), -1, 1), 0.0)
