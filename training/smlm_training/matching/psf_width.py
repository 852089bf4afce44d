"""Estimate the spot's width from the reach of fluctuations; no isolated molecule is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_training.matching.moments import LAG_PX_MAX
from smlm_training.simulation.spot import pair_overlap

SIGMA_PX_RANGE = (0.5, 4.0)
"""Widths considered: narrower spots are within a pixel, wider ones reach beyond the lags."""

_ROWS, _COLUMNS = np.arange(LAG_PX_MAX + 1), np.arange(-LAG_PX_MAX, LAG_PX_MAX + 1)
_LAG_PX = np.hypot(*np.meshgrid(_ROWS, _COLUMNS, indexing="ij"))
_USED = (_LAG_PX > 0) & (_LAG_PX <= LAG_PX_MAX)
"""Without lag zero, which includes the camera's noise."""


@dataclass(frozen=True)
class Spot:
    """A Gaussian spot fitted to covariances.

    ``strength_adu2`` is molecules per square pixel times their mean squared brightness;
    ``misfit`` is the deviation of covariances from those of a Gaussian, relative to the largest.
    """

    sigma_px: float
    strength_adu2: float
    misfit: float


def fit_spot(covariance_adu2: NDArray[np.float64]) -> Spot:
    """Least squares of strength times overlap plus a constant over all lags but zero.

    The constant absorbs fluctuations common to all pixels, such as the laser's.

    Parameters
    ----------
    covariance_adu2 : ndarray, shape (LAG_PX_MAX + 1, 2 * LAG_PX_MAX + 1), float64
        As in ``Moments``.

    Returns
    -------
    Spot
        At the edge of ``SIGMA_PX_RANGE`` where no width within it fits.
    """
    measured_adu2 = covariance_adu2[_USED]
    sigma_px = float(
        scipy.optimize.minimize_scalar(
            lambda tried_px: _solve(tried_px, measured_adu2)[1],
            bounds=SIGMA_PX_RANGE,
            method="bounded",
            options={"xatol": 1e-4},
        ).x
    )
    strength_adu2, residual_adu2 = _solve(sigma_px, measured_adu2)
    largest_adu2 = np.abs(measured_adu2).max() or 1.0
    return Spot(sigma_px, strength_adu2, float(residual_adu2 / largest_adu2))


def _solve(sigma_px: float, measured_adu2: NDArray[np.float64]) -> tuple[float, float]:
    """Strength, and the root of the mean squared residual, of the best fit at one width."""
    overlaps = np.outer(pair_overlap(sigma_px, _ROWS), pair_overlap(sigma_px, _COLUMNS))[_USED]
    centred = overlaps - overlaps.mean()
    about_mean_adu2 = measured_adu2 - measured_adu2.mean()
    strength_adu2 = float(centred @ about_mean_adu2 / (centred @ centred))
    residual_adu2 = about_mean_adu2 - strength_adu2 * centred
    return strength_adu2, float(np.sqrt(np.mean(residual_adu2**2)))
