"""Smooth the drift of parts by as much as two halves of the sample agree on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTHS = (0.0, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Sigmas of the smoothing, in parts, of which the best is taken."""

_GROSS = 6.0
"""Standard errors from which a part counts as wrong, however far away it is."""

_STEP = 3.0
"""Neighbours that differ by more than so many standard errors are beyond a step."""


def error_of_half_nm(halves_nm: NDArray[np.float64]) -> float:
    """Standard error of a part's drift along an axis, of each half; robust.

    ``halves_nm`` (2, 2, P) is the drift of each half of the sample, y and x, in nm.
    """
    apart = halves_nm[0] - halves_nm[1]
    apart = apart - np.median(apart, axis=1, keepdims=True)
    return float(1.4826 * np.median(np.abs(apart)) / np.sqrt(2)) + 1e-3


def best_width(halves_nm: NDArray[np.float64]) -> float:
    """The width at which the smoothed drift of one half foretells the other half best."""
    error_nm = error_of_half_nm(halves_nm)
    halves_nm = halves_nm - np.median(halves_nm, axis=2, keepdims=True)
    most_nm2 = 2 * (_GROSS * error_nm) ** 2

    def missed(width: float) -> float:
        first, second = (smoothed(half, width, error_nm) for half in halves_nm)
        apart_nm2 = np.stack([first - halves_nm[1], second - halves_nm[0]]) ** 2
        return float(np.minimum(apart_nm2, most_nm2).mean())

    return min(WIDTHS, key=missed)


def smoothed(drift_nm: NDArray[np.float64], width: float, error_nm: float) -> NDArray[np.float64]:
    """Local lines through the drift of parts (2, P), which end at steps.

    Parameters
    ----------
    drift_nm : ndarray, shape (2, P)
        Drift of each part.
    width : float
        Sigma of a part's neighbourhood, in parts; 0 keeps the drift as it is.
    error_nm : float
        Standard error of the drift of a part along an axis.
    """
    count = drift_nm.shape[1]
    if width == 0 or count < 3:
        return drift_nm
    reach = min(int(np.ceil(3 * width)), count - 1)
    away = np.arange(-reach, reach + 1)
    neighbour = np.arange(count)[:, None] + away
    inside = (neighbour >= 0) & (neighbour < count)
    value = drift_nm[:, np.clip(neighbour, 0, count - 1)]
    weight = np.exp(-0.5 * (away / width) ** 2) * inside
    guide = _medians(drift_nm)
    apart = guide[:, np.clip(neighbour, 0, count - 1)] - guide[:, :, None]
    squared = (apart**2).sum(axis=0)
    weight = weight / (1 + (squared / (2 * (_STEP * error_nm) ** 2)) ** 2)
    return _local_lines(value, weight, away)


def _medians(drift_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of three parts, which keep steps and lose single errors."""
    padded = np.pad(drift_nm, ((0, 0), (1, 1)), mode="edge")
    medians: NDArray[np.float64]
    medians = np.median(np.stack([padded[:, :-2], drift_nm, padded[:, 2:]]), axis=0)
    return medians


def _local_lines(
    value: NDArray[np.float64], weight: NDArray[np.float64], away: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Value at the middle of the line of weighted least squares, (2, P)."""
    s0, s1, s2 = (np.einsum("pn,n->p", weight, away.astype(float) ** power) for power in range(3))
    v0, v1 = (np.einsum("apn,pn,n->ap", value, weight, away.astype(float) ** p) for p in range(2))
    determinant = s0 * s2 - s1**2
    lines = determinant > 1e-6 * s0 * s2
    safe = np.where(lines, determinant, 1)
    fitted: NDArray[np.float64] = np.where(lines, (s2 * v0 - s1 * v1) / safe, v0 / s0)
    return fitted
