"""How much of a frame a molecule shines for, if its blinks begin and end within frames."""

from __future__ import annotations

import numpy as np
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
