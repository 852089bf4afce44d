"""Smooth light beneath the molecules: the coarse part of a wavelet transform, as FALCON has it."""

from __future__ import annotations

import warnings

import numpy as np
import pywt
from numpy.typing import NDArray

WAVELET, LEVEL = "db6", 5
ROUNDS = 5


def wavelet_background(photons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Background of each frame, from the frames themselves or from what a model leaves of them.

    The block is cut at twice its median. Then, five times over, a frame's coarse
    wavelet coefficients give b, and pixels above b + sqrt(abs(x)) / 2 are cut down
    to that, so that molecules are taken out of what the next b is made from
    (Min et al., doi 10.1038/srep04577).

    Parameters
    ----------
    photons : ndarray, shape (N, Y, X), float64
        A block of frames.

    Returns
    -------
    ndarray, shape (N, Y, X), float64
        Photons of each pixel.
    """
    left = np.minimum(photons, 2 * max(float(np.median(photons)), 0.0))
    background = left
    for _ in range(ROUNDS):
        background = _coarse(left)
        left = np.minimum(left, background + np.sqrt(np.abs(left)) / 2)
    return background


def _coarse(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frames rebuilt from their approximation coefficients alone."""
    with warnings.catch_warnings():
        # Frames of 64 pixels are smaller than what the published level asks for; the
        # transform mirrors them at their edges then, and says so.
        warnings.filterwarnings("ignore", message="Level value of")
        coefficients = pywt.wavedec2(frames, WAVELET, level=LEVEL, axes=(-2, -1))
    zeros = [tuple(np.zeros_like(part) for part in detail) for detail in coefficients[1:]]
    rebuilt = pywt.waverec2([coefficients[0], *zeros], WAVELET, axes=(-2, -1))
    height, width = frames.shape[1:]
    background: NDArray[np.float64] = rebuilt[:, :height, :width]
    return background
