"""A network on a whole small film at once: what scores and cards are made from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract, kernels
from smlm_pipeline.network import Network
from smlm_pipeline.settings import Settings

ZOOM = 8
"""Fine pixels along a camera pixel, in scores: 12.5 nm for pixels of 100 nm."""


def film_levels(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Background and scale (2,), in ADU, from as many frames as the client takes."""
    return kernels.film_levels(
        frames_adu[kernels.spread_evenly(len(frames_adu), Settings.level_frames)]
    )


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
    levels = np.broadcast_to(film_levels(frames_adu), (len(frames_adu), 2))
    return network.detect(kernels.normalize(frames_adu, levels))


def draw(detections: NDArray[np.float32]) -> NDArray[np.float64]:
    """Emitters per fine pixel, (``ZOOM`` H, ``ZOOM`` W), summed over the frames."""
    height, width = detections.shape[2:]
    window = np.array([ZOOM, 0, 0, height, width], np.int32)
    margin = contract.MARGIN_PX * ZOOM
    drawn = kernels.draw(detections, window)[margin:-margin, margin:-margin]
    image: NDArray[np.float64] = drawn / contract.WEIGHT_ONE
    return image
