"""Layers that change the resolution, each one node in ONNX."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("smlm_training")
class DoubleSize(layers.Layer):
    """Repeat every pixel twice along y and x.

    Keras' own ``UpSampling2D`` does the same by repeating, which ONNX renders as
    a dozen shape operations; this is one ``Resize``.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(N, H, W, C) -> (N, 2 H, 2 W, C)."""
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=2 * tf.shape(x)[1:3])

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape with height and width doubled."""
        count, height, width, channels = shape
        return count, height and 2 * height, width and 2 * width, channels


@keras.saving.register_keras_serializable("smlm_training")
class SubPixels(layers.Layer):
    """Rearrange the channels of every pixel into its ``zoom`` x ``zoom`` SR pixels.

    Sub-pixel convolution (Shi et al., doi 10.1109/CVPR.2016.207) without the
    convolution: one ``DepthToSpace`` in ONNX.
    """

    def __init__(self, zoom: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._zoom = zoom

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(N, H, W, zoom^2 C) -> (N, zoom H, zoom W, C)."""
        return tf.nn.depth_to_space(x, self._zoom)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape with height and width ``zoom`` times as large, and fewer channels."""
        count, height, width, channels = shape
        zoom = self._zoom
        return (
            count,
            height and zoom * height,
            width and zoom * width,
            channels and channels // zoom**2,
        )

    def get_config(self) -> dict[str, Any]:
        """The configuration that rebuilds the layer from a file."""
        return {**super().get_config(), "zoom": self._zoom}
