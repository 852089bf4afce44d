"""The encoder and decoder that all U-Nets share."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from smlm_training.networks.resampling import DoubleSize


def trunk(x: keras.KerasTensor, filters: Sequence[int]) -> keras.KerasTensor:
    """Features of every pixel of ``x``, from all resolutions.

    ReLU, no batch normalisation; frames may have any size that the pooling divides.

    Parameters
    ----------
    x : tensor, shape (N, H, W, C)
        H and W are multiples of ``2 ** (len(filters) - 1)``.
    filters : sequence of int
        Channels at full resolution, at half of it, and so on.

    Returns
    -------
    tensor, shape (N, H, W, filters[0])
    """
    skips = []
    for width in filters[:-1]:
        x = _double(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _double(x, filters[-1])
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = layers.Concatenate()([DoubleSize()(x), skip])
        x = _double(x, width)
    return _convolve(x, filters[0])


def _convolve(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    return layers.Conv2D(
        width, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)


def _double(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    return _convolve(_convolve(x, width), width)
