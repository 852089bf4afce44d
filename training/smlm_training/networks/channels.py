"""Input of the networks, and the layer that selects one of its channels."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from smlm_pipeline import contract


def read_input() -> keras.KerasTensor:
    """Input of every network: (N, H, W, 2), ``contract.NORMALIZED_CHANNELS``."""
    return layers.Input((None, None, len(contract.NORMALIZED_CHANNELS)), name="frames")


@keras.saving.register_keras_serializable("smlm_training")
class FrameOnly(layers.Layer):
    """Drop the film's mean, which networks from publications do not read."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(N, H, W, 2) -> (N, H, W, 1)."""
        return x[..., :1]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape with one channel."""
        return *shape[:-1], 1
