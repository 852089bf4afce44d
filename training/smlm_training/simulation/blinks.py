"""How much of a frame a molecule shines for, if its blinks begin and end within frames."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

_EDGES = np.linspace(0, 1, 1025)
_SHARES = (_EDGES[1:] + _EDGES[:-1]) / 2


def frame_shares(on_frames: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of a frame that molecules shine for, and the probability of each.

    Blinks begin at any time and last exponentially long, ``on_frames`` on average. A blink per
    frame gives k exp(-1/k) molecules that shine all the frame; k (1 - exp(-1/k)) that begin in
    it and last beyond it, and as many that end in it, whose share f has the density exp(-f/k);
    and those that begin and end in it, with the density (1 - f) exp(-f/k) / k.

    Returns
    -------
    shares, probabilities : ndarray, shape (S,), float64
        In increasing order; the last share is 1.
    """
    decay = np.exp(-_SHARES / on_frames)
    begun_or_ended = 2 * decay + (1 - _SHARES) * decay / on_frames
    numbers = np.append(begun_or_ended / len(_SHARES), on_frames * np.exp(-1 / on_frames))
    return np.append(_SHARES, 1.0), numbers / numbers.sum()


def share_moment(on_frames: float, power: int) -> float:
    """Mean of a power of the shares; 1 for molecules that shine exactly one frame (0)."""
    if not on_frames:
        return 1.0
    shares, probabilities = frame_shares(on_frames)
    return float(probabilities @ shares**power)


def frame_correlation(on_frames: float) -> float:
    """Correlation of a molecule's light in a frame with that in the next one.

    Whether it shines is correlated as exp(-t / k) over the time t, for long pauses; the
    integrals of that over one frame and over two neighbouring ones are
    2 k (1 - k d) and k^2 d^2, with d = 1 - exp(-1 / k).
    """
    decayed = -np.expm1(-1 / on_frames)
    within = 2 * on_frames * (1 - on_frames * decayed)
    return float((on_frames * decayed) ** 2 / within)


def on_frames_of(correlation: float) -> float:
    """The mean length of blinks, in frames, that gives such a correlation; at most 1000."""
    low, high = 0.02, 1000.0
    if correlation <= frame_correlation(low):
        return 0.0
    if correlation >= frame_correlation(high):
        return high
    return float(scipy.optimize.brentq(lambda k: frame_correlation(k) - correlation, low, high))
