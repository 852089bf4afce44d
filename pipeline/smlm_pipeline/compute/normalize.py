"""Normalise camera frames to the dimensionless input of networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import pad
from smlm_pipeline.errors import ChunkError

NORMALIZED_MAX = 16.0
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
        If shapes do not fit the contract, a level is not finite, or a scale is not positive.
    """
    check_frames(frames_adu.shape, levels_adu.shape)
    check_levels(levels_adu)
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


def check_frames(frames_shape: tuple[int, ...], levels_shape: tuple[int, ...]) -> None:
    """Check the shapes of a chunk before memory is spent on it.

    Raises
    ------
    ChunkError
        If FRAMES is not (N, H, W) with edges in multiples of the contract's and no more
        frames than it allows, or LEVELS is not (N, 2).
    """
    multiple = contract.SIZE_MULTIPLE_PX
    if len(frames_shape) != 3 or min(frames_shape) < 1:
        raise ChunkError(f"FRAMES has shape {frames_shape}; expected frames, height, width")
    if frames_shape[1] % multiple or frames_shape[2] % multiple:
        raise ChunkError(
            f"FRAMES is {frames_shape[1]} x {frames_shape[2]} pixels; "
            f"expected multiples of {multiple}: pad the tile"
        )
    if frames_shape[0] > contract.MAX_FRAMES_PER_CHUNK:
        raise ChunkError(
            f"FRAMES holds {frames_shape[0]} frames; expected at most "
            f"{contract.MAX_FRAMES_PER_CHUNK}: send smaller chunks"
        )
    if levels_shape != (frames_shape[0], 2):
        raise ChunkError(f"LEVELS has shape {levels_shape}; expected {(frames_shape[0], 2)}")


def check_levels(levels_adu: NDArray[np.float32]) -> None:
    """Check the levels that frames are to be normalised by.

    Raises
    ------
    ChunkError
        If a level is not finite, or a scale is not positive.
    """
    if not np.isfinite(levels_adu).all() or (levels_adu[:, 1] <= 0).any():
        raise ChunkError("LEVELS must be finite with a positive scale; compute them from the film")
