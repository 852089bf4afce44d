"""Measure how long molecules shine, by how much less neighbouring frames differ than others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_training.matching.psf_width import Spot
from smlm_training.simulation.blinks import on_frames_of
from smlm_training.simulation.spot import second_overlap

CORRELATION_MIN = 0.12
"""Below this, as of blinks of 0.2 frames, hardly a molecule is seen in two frames: parts of
frames are then the same as a spread of photons."""


def change_adu2(first_adu: NDArray[np.uint16], next_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Half the mean product of the changes of neighbouring pixels from frame to frame.

    It is the covariance in a frame less that with the next frame. The camera's noise is not in
    it, as pixels are distinct; nor is what changes slowly, or for the whole field.

    Parameters
    ----------
    first_adu, next_adu : ndarray, shape (P, Y, X), uint16
        Frames, and those that follow them.

    Returns
    -------
    ndarray, shape (P,), float64
    """
    changes = np.empty(len(first_adu))
    for index, (first, following) in enumerate(zip(first_adu, next_adu, strict=True)):
        change = following.astype(np.float64) - first
        change -= change.mean()
        right, below = change[:, :-1] * change[:, 1:], change[:-1] * change[1:]
        changes[index] = (right.mean() + below.mean()) / 4
    return changes


def correlation_of(change_adu2: float, spot: Spot) -> float:
    """Correlation of a molecule's light with that in the next frame, from the mean change."""
    return 1 - change_adu2 / (spot.strength_adu2 * second_overlap(spot.sigma_px, spot.shape))


def on_frames(correlation: float) -> float:
    """Mean length of blinks; 0 where each frame shows other molecules."""
    return on_frames_of(correlation) if correlation > CORRELATION_MIN else 0.0
