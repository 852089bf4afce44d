"""The U-Net that answers with detections: the one served by default."""

from __future__ import annotations

import keras
from keras import layers

from smlm_pipeline import contract
from smlm_training.networks.detection_head import detections
from smlm_training.networks.trunk import trunk


def unet(filters: tuple[int, int, int] = (32, 64, 112)) -> keras.Model:
    """U-Net that reads camera frames and answers with one detection per pixel.

    Two levels. Filters are multiples of 16, the width of the CPU's and GPU's kernels. The
    output activations keep each channel in the range that ``contract.py`` states.

    Parameters
    ----------
    filters : tuple of int
        Channels at full, half and quarter resolution.

    Returns
    -------
    keras.Model
        (N, H, W, 2) normalised frames and film mean -> (N, H, W, 5), float32.
    """
    frames = layers.Input((None, None, len(contract.NORMALIZED_CHANNELS)), name="frames")
    return keras.Model(frames, detections(trunk(frames, filters)), name="unet")
