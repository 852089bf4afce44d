"""A network on a whole small film at once: what scores and cards are made from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract, kernels
from smlm_pipeline.network import Network
from smlm_pipeline.settings import Settings

ZOOM = contract.MAP_ZOOM
"""Fine pixels along a camera pixel, in scores: 12.5 nm for pixels of 100 nm."""


def film_levels(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Background and scale (2,), in ADU, from as many frames as the client takes."""
    return kernels.film_levels(
        frames_adu[kernels.spread_evenly(len(frames_adu), Settings.level_frames)]
    )


def film_mean(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Mean frame (H, W), in ADU, of as many frames as the client takes."""
    chosen = kernels.spread_evenly(len(frames_adu), Settings.mean_frames)
    mean_adu: NDArray[np.float32] = frames_adu[chosen].mean(axis=0, dtype=np.float64).astype("f4")
    return mean_adu


def detect(network: Network, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Detections of all frames of a film.

    Parameters
    ----------
    network : Network
        The exported network.
    frames_adu : ndarray, shape (N, H, W), uint16
        A whole film; H and W are multiples of ``contract.SIZE_MULTIPLE_PX``.

    Returns
    -------
    ndarray, shape (N, 5, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    """
    return network.detect(normalized(frames_adu))


def normalized(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A whole film (N, H, W) as the network reads it: (N, 2, H, W), padded as in the blocks."""
    return np.concatenate(list(normalized_blocks(frames_adu, contract.MAX_FRAMES_PER_CHUNK)))


def normalized_blocks(
    frames_adu: NDArray[np.uint16], block_frames: int
) -> Iterator[NDArray[np.float32]]:
    """A film as the network reads it, at most ``block_frames`` frames at a time.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, H, W), uint16
        A whole film of any size.
    block_frames : int
        Frames of a block, no more than ``contract.MAX_FRAMES_PER_CHUNK``.

    Yields
    ------
    ndarray, shape (n, 2, H', W'), float32
        H' and W' are the next multiples of what the network halves; the last row
        and column are repeated up to there, as the client does.
    """
    count, height, width = frames_adu.shape
    whole = {"top": 0, "left": 0, "height": padded_px(height), "width": padded_px(width)}
    mean_adu = kernels.cut(film_mean(frames_adu)[None], **whole)[0]
    levels_adu = film_levels(frames_adu)[None]
    for first in range(0, count, block_frames):
        block = kernels.cut(frames_adu[first : first + block_frames], **whole)
        yield kernels.normalize(block, mean_adu, np.repeat(levels_adu, len(block), axis=0))


def padded_px(size_px: int) -> int:
    """The next multiple of what the network halves."""
    return -(-size_px // contract.SIZE_MULTIPLE_PX) * contract.SIZE_MULTIPLE_PX


def draw(answers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Emitters per fine pixel, (``ZOOM`` H, ``ZOOM`` W), summed over the frames.

    Parameters
    ----------
    answers : ndarray, shape (N, 5, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections, which are drawn, or maps, which are only summed.
    """
    maps = answers.shape[1] == contract.MAP.dims[0]
    height, width = (size // (ZOOM if maps else 1) for size in answers.shape[2:])
    window = np.array([ZOOM, 0, 0, height, width], np.int32)
    margin = contract.MARGIN_PX * ZOOM
    summed = kernels.sum_map(answers, window) if maps else kernels.draw(answers, window)
    image: NDArray[np.float64] = summed[margin:-margin, margin:-margin] / contract.WEIGHT_ONE
    return image
