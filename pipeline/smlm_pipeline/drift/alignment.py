"""Align short parts of a film to all its other molecules, by the distances between them.

The number of pairs of a part's molecules with all others, at each shift, is the intersection that
AIM counts (doi 10.1126/sciadv.adm7765). The shift of a part is the one at which its pairs are
spread most like those of all parts together: that of the largest likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.correlation import vertex
from smlm_pipeline.drift.pair_image import REACH, PairImage
from smlm_pipeline.drift.points import Parts, Points

_SMOOTHING_PX = 1.2
"""Sigma by which the pairs of a part are smoothed, in pixels."""

_SMOOTHING_REACH = 3


@dataclass(frozen=True)
class PairCounts:
    """Pairs at each shift of a part: ``by_half`` (2, P, L, L), for both halves of the sample."""

    by_half: NDArray[np.float64]
    pixel_nm: float

    def shifts_nm(self) -> NDArray[np.float64]:
        """The shift of each part (2, P), y and x, by the whole sample."""
        return self._most_likely(self.by_half.sum(axis=0))

    def shifts_of_halves_nm(self) -> NDArray[np.float64]:
        """The shift of each part by each half of the sample alone, (2, 2, P)."""
        return np.stack([self._most_likely(half) for half in self.by_half])

    def _most_likely(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        expected = _smoothed(self.by_half.sum(axis=(0, 1))) + 1e-9
        border = np.concatenate([expected[[0, -1]].ravel(), expected[:, [0, -1]].ravel()])
        likelihood = _likelihood(_smoothed(counts), np.log(expected / border.mean()))
        return np.stack([_top(each) for each in likelihood], axis=1) * self.pixel_nm


def count_pairs(
    points: Points, parts: Parts, half: NDArray[np.int64], pixel_nm: float
) -> PairCounts:
    """Count the pairs of each part's molecules with those of all other parts.

    Parameters
    ----------
    points : Points
        Molecules, less the drift that is known so far.
    parts : Parts
        Parts of the film.
    half : ndarray, shape (K,), int64
        The half of the sample of each molecule, 0 or 1.
    pixel_nm : float
        Step of the shifts; the largest one is ``REACH`` steps.
    """
    image = PairImage(points.yx_nm, pixel_nm)
    pixels = image.pixels(points.yx_nm)
    edge = 2 * REACH + 1
    by_half = np.zeros((2, len(parts), edge, edge))
    for part, (first, last) in enumerate(parts.rows):
        own, half_of_own = pixels[first:last], half[first:last]
        image.add(own, -1)
        for number in (0, 1):
            by_half[number, part] = image.sums_around(own[half_of_own == number])
        image.add(own, 1)
    # the others are at the shift -d from a molecule that has moved by d
    return PairCounts(by_half[:, :, ::-1, ::-1], pixel_nm)


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


def _top(likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place (2,) of the maximum, in pixels from the middle."""
    inner = likelihood[1:-1, 1:-1]
    row, column = (int(each) + 1 for each in np.unravel_index(int(inner.argmax()), inner.shape))
    around = likelihood[row - 1 : row + 2, column - 1 : column + 2]
    return np.array([row, column]) - REACH + vertex(around)
