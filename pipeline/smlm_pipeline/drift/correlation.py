"""Redundant cross-correlation of the segments of a film (doi 10.1364/OE.22.015982)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.peaks import highest
from smlm_pipeline.drift.points import Parts, Points

PIXEL_NM = 25.0
"""Pixel of the images that are correlated."""

GRIDS, SMALL_FIELD_NM = (256, 512), 10_000.0
"""Edges of these images in pixels, of a small field and of a larger one. A field that is larger
still is folded, which keeps every shift below half of the edge."""

FINE_NM, COARSE_NM = 35.0, 250.0
"""Sigmas of the correlation's filter: finer than structures, and wider than any of them."""

SHIFT_MOST_NM = 1500.0
"""Largest shift between two segments."""

CONTRADICTION_NM, AGREEING_LEAST = 60.0, 0.5
"""Distance from which a pair contradicts the others, and the least share of a segment's pairs that
agree with these."""

_ROUNDS = 12
"""Rounds of reweighting, in which pairs that contradict the others lose their weight."""


@dataclass(frozen=True)
class SegmentShifts:
    """Shift of each segment (2, S), y and x, in nm, and whether it is to be trusted, (S,) bool.

    Most pairs of a trusted segment agree on its shift.
    """

    yx_nm: NDArray[np.float64]
    trusted: NDArray[np.bool_]


def segment_shifts(points: Points, segments: Parts) -> SegmentShifts:
    """Correlate all pairs of segments, and solve for the shift of each.

    Parameters
    ----------
    points : Points
        Molecules.
    segments : Parts
        Two or more.
    """
    edge = GRIDS[int(np.ptp(points.yx_nm, axis=1).max() > SMALL_FIELD_NM)]
    spectra = _spectra(points, segments, edge)
    pairs = np.array(list(itertools.combinations(range(len(segments)), 2)))
    keep = _band_pass(edge)
    found = [_peak(np.conj(spectra[one]) * spectra[two] * keep, edge) for one, two in pairs]
    shift_nm = np.array([place for place, _ in found]) * PIXEL_NM
    height = np.array([each for _, each in found])
    return _agreed(pairs, shift_nm, np.maximum(height, 1e-3), len(segments))


def _spectra(points: Points, segments: Parts, edge: int) -> list[NDArray[np.complex64]]:
    """The Fourier transform of the image of each segment."""
    row, column = np.floor(points.yx_nm / PIXEL_NM).astype(np.int64) % edge
    place = row * edge + column
    spectra = []
    for first, last in segments.rows:
        image = np.bincount(place[first:last], minlength=edge * edge).reshape(edge, edge)
        spectra.append(np.fft.rfft2(image / max(last - first, 1)).astype(np.complex64))
    return spectra


def _band_pass(edge: int) -> NDArray[np.float64]:
    """A difference of Gaussians: neither noise nor the outline of the sample decides."""
    y, x = np.fft.fftfreq(edge, PIXEL_NM), np.fft.rfftfreq(edge, PIXEL_NM)
    squared = (2 * np.pi) ** 2 * (y[:, None] ** 2 + x**2)
    fine, coarse = (np.exp(-squared * sigma_nm**2 / 2) for sigma_nm in (FINE_NM, COARSE_NM))
    return np.asarray(fine - coarse)


def _peak(spectrum: NDArray[np.complex128], edge: int) -> tuple[NDArray[np.float64], float]:
    """Place (2,) of the highest value, in pixels, and its height in standard deviations."""
    reach = int(SHIFT_MOST_NM / PIXEL_NM)
    whole = np.fft.irfft2(spectrum, (edge, edge))
    near = np.roll(whole, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    return highest(near[None])[0] - reach, float(near[1:-1, 1:-1].max() / (whole.std() or 1.0))


def _agreed(
    pairs: NDArray[np.int64], shift_nm: NDArray[np.float64], height: NDArray[np.float64], count: int
) -> SegmentShifts:
    """Least squares of all pairs, robust against those that contradict the others."""
    design = np.zeros((len(pairs) + 1, count))
    rows = np.arange(len(pairs))
    design[rows, pairs[:, 0]], design[rows, pairs[:, 1]] = -1, 1
    design[-1] = 1  # their mean is zero
    wanted = np.vstack([shift_nm, np.zeros((1, 2))])
    weight = np.append(height, height.max())
    robust = np.ones(len(weight))
    for _ in range(_ROUNDS):
        scale = np.sqrt(weight * robust)[:, None]
        solved = np.linalg.lstsq(design * scale, wanted * scale, rcond=None)[0]
        away_nm = np.hypot(*(design @ solved - wanted).T)
        usual_nm = max(float(np.median(away_nm[:-1])), PIXEL_NM / 10)
        robust = 1 / (1 + (away_nm / (2 * usual_nm)) ** 2)
    agrees = np.tile(away_nm[:-1] < CONTRADICTION_NM, 2)
    pairs_of_segment = pairs.T.ravel()
    share = np.bincount(pairs_of_segment, agrees, count) / (count - 1)
    return SegmentShifts(solved.T.copy(), share >= AGREEING_LEAST)
