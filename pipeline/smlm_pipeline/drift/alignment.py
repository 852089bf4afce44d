"""Align short parts of a film to all its other molecules, by the distances between them.

The number of pairs of a part's molecules with all others, at each shift, is the intersection that
AIM counts (doi 10.1126/sciadv.adm7765). The shift of a part is the one at which its pairs are
spread most like those of all parts together: that of the largest likelihood.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.peaks import highest
from smlm_pipeline.drift.pair_image import REACH, PairImage
from smlm_pipeline.drift.points import Parts, Points

_SMOOTHING_PX = 1.2
"""Sigma by which the pairs of a part are smoothed, in pixels."""

_SMOOTHING_REACH = 3

_NEAR_STEPS, _NEAR_WEIGHT = 5.0, 3.0
"""Shifts from which far ones are less likely, in steps, and by how much: where few pairs decide,
a peak by chance is anywhere."""

_CLOSE_STEP_NM, _CLOSE_REACH = 10.0, 2
"""Step of the distances of close pairs, and the largest in steps."""


def aligned_nm(
    points: Points, parts: Parts, some: NDArray[np.bool_], step_nm: float
) -> NDArray[np.float64]:
    """The shift of each part (2, P), y and x, in nm; 0 where a part has no pairs.

    Parameters
    ----------
    points : Points
        Molecules, less the drift that is known so far.
    parts : Parts
        Parts of the film.
    some : ndarray, shape (K,), bool
        The molecules of each part that are aligned, to all those of other parts.
    step_nm : float
        Step of the shifts; the largest one is ``REACH`` steps.
    """
    counts = _pairs(points, parts, some, step_nm)
    expected = _smoothed(counts.sum(axis=0)) + 1e-9
    border = np.concatenate([expected[[0, -1]].ravel(), expected[:, [0, -1]].ravel()])
    likelihood = _likelihood(_smoothed(counts), expected / border.mean()) + _log_prior()
    return (highest(likelihood) - REACH).T * step_nm


def close_pairs(points: Points, parts: Parts, some: NDArray[np.bool_]) -> float:
    """The number of pairs of some molecules (K,) with all that are at most some 25 nm apart.

    That is along each axis. Pairs within a part or of two that follow one another do not count:
    most of them are one molecule that shines on.
    """
    image = PairImage(points.yx_nm, _CLOSE_STEP_NM)
    pixels = image.pixels(points.yx_nm)
    last = len(parts) - 1
    found = 0.0
    for part, (first_row, last_row) in enumerate(parts.rows):
        start, end = parts.first_row[max(part - 1, 0)], parts.first_row[min(part + 1, last) + 1]
        image.add(pixels[start:end], -1)
        own = pixels[first_row:last_row][some[first_row:last_row]]
        found += image.sums_around(own, _CLOSE_REACH).sum()
        image.add(pixels[start:end], 1)
    return found / 2


def _pairs(
    points: Points, parts: Parts, some: NDArray[np.bool_], step_nm: float
) -> NDArray[np.float64]:
    """Pairs of each part's molecules with those of all other parts, at each shift, (P, L, L)."""
    image = PairImage(points.yx_nm, step_nm)
    pixels = image.pixels(points.yx_nm)
    counts = np.zeros((len(parts), 2 * REACH + 1, 2 * REACH + 1))
    for part, (first, last) in enumerate(parts.rows):
        own = pixels[first:last]
        image.add(own, -1)
        counts[part] = image.sums_around(own[some[first:last]])
        image.add(own, 1)
    # the others are at the shift -d from a molecule that has moved by d
    return counts[:, ::-1, ::-1]


def _smoothed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian of ``_SMOOTHING_PX`` along the last two axes; edges are continued."""
    steps = np.arange(-_SMOOTHING_REACH, _SMOOTHING_REACH + 1)
    taps = np.exp(-0.5 * (steps / _SMOOTHING_PX) ** 2)
    taps /= taps.sum()
    for axis in (-1, -2):
        widths = [(0, 0)] * counts.ndim
        widths[axis] = (_SMOOTHING_REACH, _SMOOTHING_REACH)
        padded = np.moveaxis(np.pad(counts, widths, mode="edge"), axis, -1)
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(taps), axis=-1)
        counts = np.moveaxis(windows @ taps, -1, axis)
    return counts


def _likelihood(counts: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood (P, L, L) of each shift, but for a constant, of Poisson numbers.

    ``shape`` (L, L) are the expected counts over those far from any shift, which is 1. Counts are
    known within the window alone: a shift that moves the peak out of it expects fewer of them.
    """
    expected = counts.sum(axis=(1, 2), keepdims=True) / shape.sum()
    beyond = _correlated(np.ones_like(shape), shape - 1)
    likelihood: NDArray[np.float64] = _correlated(counts, np.log(shape)) - expected * beyond
    return likelihood


def _log_prior() -> NDArray[np.float64]:
    """Logarithm of how likely a shift is before pairs are counted, (L, L): a power of distance."""
    squared = np.arange(-REACH, REACH + 1) ** 2
    far = (squared[:, None] + squared) / _NEAR_STEPS**2
    return np.asarray(-_NEAR_WEIGHT * np.log(1 + far**2))


def _correlated(values: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of values (..., L, L) times the shape (L, L), at each of its shifts."""
    edge = len(shape)
    size = (2 * edge, 2 * edge)
    spectrum = np.fft.rfft2(values, size) * np.conj(np.fft.rfft2(shape, size))
    centred = np.roll(np.fft.irfft2(spectrum, size), (edge // 2, edge // 2), (-2, -1))
    correlated: NDArray[np.float64] = centred[..., :edge, :edge]
    return correlated
