"""Estimate width and shape of the spot from the reach of fluctuations; no molecule is isolated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_training.matching.moments import LAG_PX_MAX
from smlm_training.simulation.spot import pair_overlap
from smlm_training.simulation.spot_shape import ROUND, SpotShape

SIGMA_PX_RANGE = (0.5, 4.0)
"""Widths considered: narrower spots are within a pixel, wider ones reach beyond the lags."""

HALO_WIDTHS = (2.0, 2.8, 4.0, 5.6)
"""Widths of a halo that are tried, in sigma; a wider one hides in the constant."""

HALO_LIGHT_MAX = 0.6

_FORM_BOUNDS = np.array([np.log(SIGMA_PX_RANGE), (-0.7, 0.7)]).T
"""Least and largest logarithms of sigma and of the ratio of the widths."""

_FORM_STEP = 1e-4

_ROWS, _COLUMNS = np.arange(LAG_PX_MAX + 1), np.arange(-LAG_PX_MAX, LAG_PX_MAX + 1)
_LAG_PX = np.hypot(*np.meshgrid(_ROWS, _COLUMNS, indexing="ij"))
_USED = (_LAG_PX > 0) & (_LAG_PX <= LAG_PX_MAX)
"""Without lag zero, which includes the camera's noise."""


@dataclass(frozen=True)
class Spot:
    """A spot fitted to covariances: a Gaussian, or a core and a halo.

    ``strength_adu2`` is molecules per square pixel times their mean squared brightness;
    ``misfit`` is the deviation of covariances from those of the spot, relative to the largest.
    ``halo_light`` is the share of the halo as fitted, which chance makes negative in some films
    without one; in ``shape`` it is then 0.
    """

    sigma_px: float
    strength_adu2: float
    misfit: float
    shape: SpotShape = ROUND
    halo_light: float = 0.0


def fit_spot(covariance_adu2: NDArray[np.float64], halo_width: float | None = None) -> Spot:
    """Least squares of strength times overlap plus a constant over all lags but zero.

    The constant absorbs fluctuations common to all pixels, such as the laser's.

    Parameters
    ----------
    covariance_adu2 : ndarray, shape (LAG_PX_MAX + 1, 2 * LAG_PX_MAX + 1), float64
        As in ``Moments``.
    halo_width : float, optional
        Width of a halo relative to the core; without it the spot is a Gaussian.

    Returns
    -------
    Spot
        At the edge of ``SIGMA_PX_RANGE`` where no width within it fits.
    """
    measured_adu2 = covariance_adu2[_USED]
    largest_adu2 = float(np.abs(measured_adu2).max()) or 1.0
    lowest, highest = (list(bounds) for bounds in _FORM_BOUNDS)
    start = [0.2, 0.0]
    if halo_width is not None:
        start, lowest = [*start, 0.05], [*lowest, -0.3]
        highest = [*highest, HALO_LIGHT_MAX]

    def residual(form: NDArray[np.float64]) -> NDArray[np.float64]:
        return _solve(_overlaps(form, halo_width), measured_adu2)[1] / largest_adu2

    found = scipy.optimize.least_squares(residual, start, bounds=(lowest, highest), xtol=1e-5)
    strength_adu2, _ = _solve(_overlaps(found.x, halo_width), measured_adu2)
    misfit = float(np.sqrt(np.mean(found.fun**2)))
    return _spot(found.x, strength_adu2, misfit, halo_width)


def fit_like(
    spot: Spot,
    covariance_adu2: NDArray[np.float64],
    others_adu2: Sequence[NDArray[np.float64]],
    halo_width: float | None = None,
) -> list[Spot]:
    """Spots of covariances that differ little from those that ``spot`` was fitted to.

    The fit is linear in small differences: one step of Gauss and Newton.
    """
    form = np.array([np.log(spot.sigma_px), np.log(spot.shape.ratio), spot.halo_light])
    form = form[: 2 if halo_width is None else 3]
    overlaps = _overlaps(form, halo_width)
    steps = _FORM_STEP * np.eye(len(form))
    slopes = [
        spot.strength_adu2
        * (_overlaps(form + step, halo_width) - _overlaps(form - step, halo_width))
        / (2 * _FORM_STEP)
        for step in steps
    ]
    change = np.linalg.pinv(np.stack([overlaps, np.ones_like(overlaps), *slopes], axis=1))
    differences_adu2 = np.stack([(other - covariance_adu2)[_USED] for other in others_adu2], axis=1)
    strengths_adu2, _, *forms = change @ differences_adu2
    return [
        _spot(form + off, spot.strength_adu2 + float(more_adu2), spot.misfit, halo_width)
        for off, more_adu2 in zip(np.stack(forms, axis=1), strengths_adu2, strict=True)
    ]


def _spot(
    form: NDArray[np.float64], strength_adu2: float, misfit: float, halo_width: float | None
) -> Spot:
    log_sigma, log_ratio = np.clip(form[:2], *_FORM_BOUNDS)
    sigma_px, ratio = float(np.exp(log_sigma)), float(np.exp(log_ratio))
    if halo_width is None:
        return Spot(sigma_px, strength_adu2, misfit, SpotShape(ratio))
    halo_light = float(form[2])
    share = min(max(halo_light, 0.0), HALO_LIGHT_MAX)
    shape = SpotShape(ratio, halo_share=share, halo_width=halo_width)
    return Spot(sigma_px, strength_adu2, misfit, shape, halo_light)


def best_halo_width(covariance_adu2: NDArray[np.float64]) -> float:
    """The width of a halo, of ``HALO_WIDTHS``, that leaves the least misfit."""
    return min(HALO_WIDTHS, key=lambda width: fit_spot(covariance_adu2, width).misfit)


def _overlaps(form: NDArray[np.float64], halo_width: float | None) -> NDArray[np.float64]:
    """Overlaps at all lags used, of a spot of one photon.

    Two Gaussians of different widths overlap like two of the root mean square of the widths.
    """
    sigma_px, elongation = np.exp(form[0]), np.exp(form[1] / 2)
    parts = [(1.0, 1.0)]
    if halo_width is not None:
        parts = [(1 - form[2], 1.0), (form[2], halo_width)]
    overlaps = np.zeros(_LAG_PX.shape)
    for first, (share, width) in enumerate(parts):
        for other, wider in parts[first:]:
            both_px = sigma_px * np.sqrt((width**2 + wider**2) / 2)
            twice = 1 if wider == width else 2
            overlaps += (twice * share * other) * np.outer(
                pair_overlap(both_px * elongation, _ROWS),
                pair_overlap(both_px / elongation, _COLUMNS),
            )
    return overlaps[_USED]


def _solve(
    overlaps: NDArray[np.float64], measured_adu2: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Strength of the best fit of overlaps and a constant, and its residuals."""
    centred = overlaps - overlaps.mean()
    about_mean_adu2 = measured_adu2 - measured_adu2.mean()
    strength_adu2 = float(centred @ about_mean_adu2 / (centred @ centred))
    return strength_adu2, about_mean_adu2 - strength_adu2 * centred
