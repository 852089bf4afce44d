"""Where single spots are, as ThunderSTORM's default: wavelet filter, threshold, local maxima."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, maximum_filter

_SPLINE = np.array([1, 4, 6, 4, 1]) / 16
"""Third-order B-spline, the smoothing of an a trous wavelet transform."""


def detect_spots(
    photons: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Frame, row and column of local maxima of the second wavelet plane.

    With V1 and V2 the frame smoothed once, and again with gaps in the spline, the
    planes are F1 = y - V1, mostly noise, and F2 = V1 - V2, where spots show. A pixel of
    F2 that is the largest of its 3 x 3 and exceeds ``threshold`` standard deviations of
    the frame's F1 is a spot (Izeddin et al., doi 10.1364/OE.20.002081).

    Parameters
    ----------
    photons : ndarray, shape (N, Y, X), float64
        Frames.
    threshold : float
        In standard deviations of F1.
    """
    smooth = _smoothed(photons, _SPLINE)
    with_gaps = np.zeros(2 * len(_SPLINE) - 1)
    with_gaps[::2] = _SPLINE
    plane = smooth - _smoothed(smooth, with_gaps)
    noise = (photons - smooth).std(axis=(1, 2))[:, None, None]
    highest = maximum_filter(plane, (1, 3, 3), mode="nearest")
    frame, row, column = np.nonzero((plane == highest) & (plane > threshold * noise))
    return frame, row, column


def _smoothed(frames: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    along_y = convolve1d(frames, kernel, axis=1, mode="nearest")
    smoothed: NDArray[np.float64] = convolve1d(along_y, kernel, axis=2, mode="nearest")
    return smoothed
