"""The U-Net that answers with detections: the one served by default."""

from __future__ import annotations

import keras
from keras import layers

from smlm_pipeline import contract
from smlm_training.networks.resampling import DoubleSize

SIGMA_MIN_PX = 0.01
"""Smallest uncertainty the network may claim, for a finite likelihood."""

PROBABILITY_PRIOR = -4.0
"""Initial logit: most camera pixels hold no molecule."""


def unet(filters: tuple[int, int, int] = (32, 64, 112)) -> keras.Model:
    """U-Net that reads camera frames and answers with one detection per pixel.

    Two levels, ReLU, no batch normalisation, no bias towards any frame size.
    Filters are multiples of 16, the width of the CPU's and GPU's kernels. The
    output activations keep each channel in the range that ``contract.py`` states.

    Parameters
    ----------
    filters : tuple of int
        Channels at full, half and quarter resolution.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames -> (N, H, W, 5), float32.
    """
    frames = layers.Input((None, None, 1), name="frames")
    skips = []
    x = frames
    for width in filters[:-1]:
        x = _double(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _double(x, filters[-1])
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = layers.Concatenate()([DoubleSize()(x), skip])
        x = _double(x, width)
    x = _convolve(x, filters[0])
    return keras.Model(frames, _detections(x), name="unet")


def _convolve(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    return layers.Conv2D(
        width, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)


def _double(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    return _convolve(_convolve(x, width), width)


def _detections(x: keras.KerasTensor) -> keras.KerasTensor:
    """Probability in 0..1, offsets within the contract's reach, positive sigmas."""
    prior = keras.initializers.Constant(PROBABILITY_PRIOR)
    logit = layers.Conv2D(1, 1, bias_initializer=prior, dtype="float32")(x)
    offset = layers.Conv2D(2, 1, dtype="float32")(x)
    spread = layers.Conv2D(2, 1, dtype="float32")(x)
    probability = layers.Activation("sigmoid", dtype="float32")(logit)
    reach = layers.Rescaling(contract.MAX_OFFSET_PX, dtype="float32")(
        layers.Activation("tanh", dtype="float32")(offset)
    )
    sigma = layers.Rescaling(1.0, offset=SIGMA_MIN_PX, dtype="float32")(
        layers.Activation("softplus", dtype="float32")(spread)
    )
    return layers.Concatenate(name="detections", dtype="float32")([probability, reach, sigma])
