"""Deep-STORM's layers (Nehme et al., doi 10.1364/OPTICA.5.000458), the peer of our networks."""

from __future__ import annotations

import keras
from keras import layers

from smlm_training.networks.fine_map import emitters_per_sr_pixel, enlarge_frames
from smlm_training.networks.frames import read_input
from smlm_training.networks.resampling import DoubleSize


def deep_storm() -> keras.Model:
    """The published network: down to the camera's grid and up again, without skips.

    Convolutions are 3 x 3 without bias, from an orthogonal start, each followed by batch
    normalisation and ReLU; the last is 1 x 1 and linear. The published program enlarges the
    frames before the network and sets negative values of the answer to zero after it. Here the
    enlargement is the first layer, and negative values are kept, since clipping biases a sum.
    The division by ``MAP_SCALE`` at the end changes the unit only.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames of any size -> (N, 8 H, 8 W, 1) emitters per SR pixel,
        float32.
    """
    frames = read_input()
    x = enlarge_frames(frames)
    for width in (32, 64, 128):
        x = layers.MaxPooling2D()(_block(x, width))
    x = _block(x, 512)
    for width in (128, 64, 32):
        x = _block(DoubleSize()(x), width)
    last = layers.Conv2D(1, 1, use_bias=False, kernel_initializer="orthogonal", dtype="float32")
    return keras.Model(frames, emitters_per_sr_pixel(last(x)), name="deep-storm")


def _block(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="orthogonal")(x)
    return layers.ReLU()(layers.BatchNormalization()(x))
