"""Normalise camera frames to the dimensionless input of networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.tiles import pad
from smlm_pipeline.errors import ChunkError

NORMALIZED_MAX = 32.0
"""Largest normalised value: one molecule peaks at about 2, the densest crossings somewhat above."""


def normalize(
    frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute (frame - background) / scale, frame by frame.

    Values are limited to ``NORMALIZED_MAX``, so that a saturated pixel or a bright bead does
    not dominate its surroundings.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, H, W), uint16
        Frames of one tile.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame.

    Returns
    -------
    ndarray, shape (N, 1, H, W), float32
        The input of networks, dimensionless.

    Raises
    ------
    ChunkError
        If there are not as many levels as frames, one is not finite, or a scale is not positive.
    """
    check_levels(levels_adu, len(frames_adu))
    background, scale = levels_adu[:, 0, None, None], levels_adu[:, 1, None, None]
    normalized = frames_adu.astype(np.float32)
    normalized -= background
    normalized /= scale
    np.minimum(normalized, np.float32(NORMALIZED_MAX), out=normalized)
    return normalized[:, None]


def normalize_whole(
    frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`normalize` frames of any size, padded to what networks take.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, Y, X), uint16
        Whole frames.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame.

    Returns
    -------
    ndarray, shape (N, 1, H, W), float32
        H and W are multiples of ``SIZE_MULTIPLE_PX``; see `smlm_pipeline.compute.tiles.pad`.

    Raises
    ------
    ChunkError
        As `normalize`.
    """
    return normalize(pad(frames_adu), levels_adu)


def check_levels(levels_adu: NDArray[np.float32], frame_count: int) -> None:
    """Check the levels that so many frames are to be normalised by.

    Raises
    ------
    ChunkError
        If they are not (N, 2), a level is not finite, or a scale is not positive.
    """
    if levels_adu.shape != (frame_count, 2):
        raise ChunkError(f"LEVELS has shape {levels_adu.shape}; expected {(frame_count, 2)}")
    if not np.isfinite(levels_adu).all() or (levels_adu[:, 1] <= 0).any():
        raise ChunkError("LEVELS must be finite with a positive scale; compute them from the film")
