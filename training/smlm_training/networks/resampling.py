"""Layers that change the resolution, each one node in ONNX."""

from __future__ import annotations

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
