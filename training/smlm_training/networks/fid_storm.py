"""FID-STORM's layers (doi 10.1364/boe.484540): residual, on the camera's grid.

From the authors' public model file: a 3 x 3 convolution to 64 channels; ten blocks of 3 x 3
convolution, batch normalisation and leaky ReLU, added to their input; three times nearest
doubling and a 3 x 3 convolution, to 32, 16 and 1 channels, each with a leaky ReLU and no
normalisation; no bias; leaky slope 0.01. That is 2.15 GMAC for a frame of 64 x 64, as measured
on that file.

Our choice: the initial weights, the momentum of the normalisation (Keras' own), the unit of
the answer and all of the training.
"""

from __future__ import annotations

import keras
from keras import layers

from smlm_training.networks.fine_map import emitters_per_sr_pixel
from smlm_training.networks.frames import read_input
from smlm_training.networks.resampling import DoubleSize

BLOCKS = 10
WIDTH = 64
LEAKY_SLOPE = 0.01


def fid_storm() -> keras.Model:
    """Residual network on the camera's grid, enlarged at its end.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames of any size -> (N, 8 H, 8 W, 1) emitters per SR pixel,
        float32.
    """
    frames = read_input()
    shallow = _leaky(_convolve(frames, WIDTH))
    x = shallow
    for _ in range(BLOCKS):
        x = _leaky(layers.BatchNormalization()(_convolve(x, WIDTH)))
    x = layers.Add()([shallow, x])
    for width in (32, 16):
        x = _leaky(_convolve(DoubleSize()(x), width))
    last = _convolve(DoubleSize()(x), 1, dtype="float32")
    answer = emitters_per_sr_pixel(layers.LeakyReLU(LEAKY_SLOPE, dtype="float32")(last))
    return keras.Model(frames, answer, name="fid-storm")


def _convolve(x: keras.KerasTensor, width: int, *, dtype: str | None = None) -> keras.KerasTensor:
    return layers.Conv2D(
        width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", dtype=dtype
    )(x)


def _leaky(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.LeakyReLU(LEAKY_SLOPE)(x)
