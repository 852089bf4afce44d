"""Fourier ring correlation of an image with the truth."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

THRESHOLD = 1 / 7
"""The correlation that is still resolved (doi 10.1038/nmeth.2448)."""

_TAPER = 0.25
_SMOOTH_RINGS = 5


def ring_correlation(image: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of two square images ring by ring, from frequency 0 to Nyquist's.

    Parameters
    ----------
    image, truth : ndarray, shape (E, E), float64
        In any units; their edges are tapered.

    Returns
    -------
    ndarray, shape (E // 2,), float64
        Of rings one frequency of the image wide; 0 where one of the two has nothing.
    """
    edge = len(image)
    taper = scipy.signal.windows.tukey(edge, _TAPER)
    one, two = (np.fft.fft2(each * np.outer(taper, taper)) for each in (image, truth))
    frequency = np.fft.fftfreq(edge, 1 / edge)
    ring = np.rint(np.hypot(frequency[:, None], frequency)).astype(int).ravel()

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(ring, values.ravel())[: edge // 2], np.float64)

    power = np.sqrt(sums(_power(one)) * sums(_power(two)))
    together = sums((one * np.conj(two)).real)
    return np.divide(together, power, out=np.zeros_like(power), where=power > 0)


def _power(transform: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.asarray(transform.real**2 + transform.imag**2, np.float64)


def resolution_nm(
    image: NDArray[np.float64], truth: NDArray[np.float64], *, sr_pixel_size_nm: float
) -> float:
    """Length at which the correlation with the truth first falls below ``THRESHOLD``.

    The curve is smoothed over a few rings. If it never falls below, the result is two SR pixels,
    the shortest length of the grid.
    """
    curve = ring_correlation(image, truth)
    smooth = scipy.ndimage.uniform_filter1d(curve, _SMOOTH_RINGS, mode="nearest")
    below = np.flatnonzero(smooth < THRESHOLD)
    if not len(below):
        return 2 * sr_pixel_size_nm
    last = int(below[0])
    if last == 0:
        return float("inf")
    high, low = smooth[last - 1], smooth[last]
    ring = last - 1 + (high - THRESHOLD) / (high - low)
    return float(len(image) * sr_pixel_size_nm / max(ring, 1e-9))
