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

_CLOSE_STEP_NM, _CLOSE_REACH = 10.0, 2
"""Step of the distances of close pairs, and the largest in steps."""


def aligned_nm(points: Points, parts: Parts, step_nm: float) -> NDArray[np.float64]:
    """The shift of each part (2, P), y and x, in nm; 0 where a part has no pairs.

    Parameters
    ----------
    points : Points
        Molecules, less the drift that is known so far.
    parts : Parts
        Parts of the film.
    step_nm : float
        Step of the shifts; the largest one is ``REACH`` steps.
    """
    counts = _pairs(points, parts, step_nm)
    expected = _smoothed(counts.sum(axis=0)) + 1e-9
    border = np.concatenate([expected[[0, -1]].ravel(), expected[:, [0, -1]].ravel()])
    likelihood = _likelihood(_smoothed(counts), np.log(expected / border.mean()))
    found = np.ptp(likelihood, axis=(1, 2)) > 0
    return np.where(found, (highest(likelihood) - REACH).T, 0.0) * step_nm


def close_pairs(points: Points, parts: Parts) -> float:
    """The number of pairs of molecules that are at most some 25 nm apart along each axis.

    Pairs within a part or of two that follow one another do not count: most of them are one
    molecule that shines on.
    """
    image = PairImage(points.yx_nm, _CLOSE_STEP_NM)
    pixels = image.pixels(points.yx_nm)
    last = len(parts) - 1
    found = 0.0
    for part, (first_row, last_row) in enumerate(parts.rows):
        start, end = parts.first_row[max(part - 1, 0)], parts.first_row[min(part + 1, last) + 1]
        image.add(pixels[start:end], -1)
        found += image.sums_around(pixels[first_row:last_row], _CLOSE_REACH).sum()
        image.add(pixels[start:end], 1)
    return found / 2


def _pairs(points: Points, parts: Parts, step_nm: float) -> NDArray[np.float64]:
    """Pairs of each part's molecules with those of all other parts, at each shift, (P, L, L)."""
    image = PairImage(points.yx_nm, step_nm)
    pixels = image.pixels(points.yx_nm)
    counts = np.zeros((len(parts), 2 * REACH + 1, 2 * REACH + 1))
    for part, (first, last) in enumerate(parts.rows):
        own = pixels[first:last]
        image.add(own, -1)
        counts[part] = image.sums_around(own)
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
    """Log-likelihood (P, L, L) of each shift, but for a constant: counts times the shifted shape.

    ``shape`` (L, L) is the logarithm of the expected counts over those far from any shift.
    """
    edge = len(shape)
    size = (2 * edge, 2 * edge)
    spectrum = np.fft.rfft2(counts, size) * np.conj(np.fft.rfft2(shape, size))
    centred = np.roll(np.fft.irfft2(spectrum, size), (edge // 2, edge // 2), (1, 2))
    likelihood: NDArray[np.float64] = centred[:, :edge, :edge]
    return likelihood
