"""Measure how density varies over the field: training needs the fullest places, not the mean."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

_BLUR_PX = 1.5
_RANKS_PERCENT = (5, 98)


def crowding_of_places(
    frames_adu: NDArray[np.uint16],
) -> tuple[float, float]:
    """Density of rather empty and of the fullest places, relative to the mean over the field.

    Its measure is the slightly blurred covariance of neighbouring pixels, which is
    proportional to the local density of molecules and independent of the background.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Frames in ADU.

    Returns
    -------
    tuple of float
        Ranks 5 and 98 % of the places; at least 0, and at least 1.
    """
    mean_adu = frames_adu.mean(axis=0, dtype=np.float64)
    products = np.zeros([edge - 1 for edge in mean_adu.shape])
    for frame in frames_adu:
        centred = frame - mean_adu
        products += centred[:-1, :-1] * (centred[1:, :-1] + centred[:-1, 1:])
    local = scipy.ndimage.gaussian_filter(products, _BLUR_PX, mode="nearest")
    low, high = np.percentile(local / products.mean(), _RANKS_PERCENT)
    return max(float(low), 0.0), max(float(high), 1.0)


def line_width_px(sigma_px: float) -> float:
    """Width of a line in such a map: a density per px2 times this width is a density per px."""
    profile_squared_px2 = sigma_px**2 / 2 + 1 / 24
    return float(np.sqrt(2 * np.pi * (profile_squared_px2 + _BLUR_PX**2)))
