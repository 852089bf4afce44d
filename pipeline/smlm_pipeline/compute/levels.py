"""Estimate a film's background and scale from its fluctuations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEMPORAL_FRAMES_MIN = 8
"""With fewer frames than this, fluctuations are taken over space, not time."""


SIGNIFICANCE = 3.0
"""Standard errors by which a cumulant must exceed zero to be believed."""


BACKGROUND_RANKS = (0.02, 0.20)
"""Background is the mean of the pixel values between these two ranks."""


def spread_evenly(count: int, most: int) -> list[int]:
    """Choose at most ``most`` numbers below ``count``, the first and the last among them."""
    chosen: list[int] = np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()
    return chosen


def film_levels(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Estimate the background and the scale of a film from a sample of its whole frames.

    The scale is the ratio of the third to the second cross-cumulant of
    neighbouring pixels' fluctuations in time. For molecules that blink
    independently both are proportional to the number of molecules (Campbell's
    theorem; used for imaging by Dertinger et al., doi 10.1073/pnas.0907866106), so
    their ratio measures the brightness of one molecule, and depends neither on the number of
    molecules, nor on their positions, nor on the background. Cross-cumulants of
    distinct pixels (doi 10.1364/OE.18.018875) leave out the camera's noise and
    its flickering pixels, which are independent from pixel to pixel.

    Both numbers follow gain and offset of the camera, so that
    ``(frame - background) / scale`` does not change with them.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Whole frames, in ADU; T of about a hundred is plenty.

    Returns
    -------
    ndarray, shape (2,), float32
        Background and scale, in ADU. The scale falls back to the standard
        deviation of the fluctuations where no blinking shows, and to 1 where
        nothing fluctuates.
    """
    background_adu = _trimmed_mean(frames_adu)
    scale_adu = _molecule_scale(frames_adu)
    return np.array([background_adu, scale_adu], np.float32)


def _trimmed_mean(frames_adu: NDArray[np.uint16]) -> float:
    """Mean of the pixel values between the two ``BACKGROUND_RANKS``."""
    counts = np.zeros(1 << 16)
    for frame in frames_adu:  # one at a time: bincount widens what it is given
        counts += np.bincount(frame.ravel(), minlength=1 << 16)
    low, high = (rank * counts.sum() for rank in BACKGROUND_RANKS)
    cumulated = np.cumsum(counts)
    inside = np.clip(np.minimum(cumulated, high) - np.maximum(cumulated - counts, low), 0, None)
    return float(inside @ np.arange(1 << 16) / inside.sum())


def _molecule_scale(frames_adu: NDArray[np.uint16]) -> float:
    count = len(frames_adu)
    temporal = count >= TEMPORAL_FRAMES_MIN
    mean_adu = frames_adu.mean(axis=0, dtype=np.float64)
    variance, second, third = (np.empty(count) for _ in range(3))
    for index, frame in enumerate(frames_adu):
        centred = frame - (mean_adu if temporal else frame.mean(dtype=np.float64))
        here, right, below = centred[:-1, :-1], centred[:-1, 1:], centred[1:, :-1]
        variance[index] = np.mean(centred * centred)
        second[index] = np.mean(here * (right + below)) / 2
        third[index] = np.mean(here * right * below)
    if temporal:  # unbiased for a mean that was estimated from the same frames
        second *= count / (count - 1)
        third *= count**2 / ((count - 1) * (count - 2))
    if _significant(second) and _significant(third):
        return float(third.mean() / second.mean())
    return float(np.sqrt(variance.mean())) or 1.0


def _significant(per_frame: NDArray[np.float64]) -> bool:
    """Whether the mean over frames exceeds zero by ``SIGNIFICANCE`` standard errors."""
    error = per_frame.std() / np.sqrt(len(per_frame))
    return bool(per_frame.mean() > SIGNIFICANCE * error)
