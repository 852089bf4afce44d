"""The small U-Net: most of its work is done at half of the camera's resolution."""

from __future__ import annotations

import keras
from keras import layers

from smlm_pipeline import contract
from smlm_training.networks.detection_head import detections
from smlm_training.networks.resampling import SubPixels
from smlm_training.networks.trunk import trunk


def unet_fast(filters: tuple[int, int] = (32, 64), fine_filters: int = 16) -> keras.Model:
    """U-Net behind a strided convolution, with one detection per camera pixel.

    A spot of one pixel's sigma holds little beyond half of the camera's spatial
    frequencies, so a quarter of the pixels with as many channels each keeps
    nearly all of it, at a quarter of the cost.

    Parameters
    ----------
    filters : tuple of int
        Channels at half and quarter resolution.
    fine_filters : int
        Channels at full resolution, before the detections.

    Returns
    -------
    keras.Model
        (N, H, W, 2) normalised frames and film mean -> (N, H, W, 5), float32.
    """
    frames = layers.Input((None, None, len(contract.NORMALIZED_CHANNELS)), name="frames")
    coarse = layers.Conv2D(filters[0], 4, strides=2, padding="same", activation="relu")(frames)
    features = trunk(coarse, filters)
    fine = layers.Conv2D(4 * fine_filters, 1, activation="relu")(features)
    fine = layers.Conv2D(fine_filters, 3, padding="same", activation="relu")(SubPixels(2)(fine))
    return keras.Model(frames, detections(fine), name="unet-fast")
