"""U-Nets that answer with detections: the one served by default, and a small, fast one."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from smlm_pipeline import contract
from smlm_pipeline.compute.activation import FACTORS, LEAST
from smlm_training.networks.frames import read_input
from smlm_training.networks.resampling import SubPixels
from smlm_training.networks.trunk import trunk

PROBABILITY_PRIOR = -4.0
"""Initial logit: most camera pixels hold no molecule."""

LOGITS = "logits"
"""Name of the last layer with weights, whose answers the activation brings into their ranges."""


def unet(filters: tuple[int, int, int] = (32, 64, 112)) -> keras.Model:
    """U-Net that reads camera frames and answers with one detection per camera pixel.

    Two levels. Filters are multiples of 16, the width of the CPU's and GPU's kernels. The
    activations of the output keep each channel in the range that ``contract.py`` states.

    Parameters
    ----------
    filters : tuple of int
        Channels at full, half and quarter resolution.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames, H and W multiples of 4 -> (N, H, W, 7),
        float32.
    """
    frames = read_input()
    return keras.Model(frames, detections(trunk(frames, filters)), name="unet")


def unet_fast(filters: tuple[int, int] = (32, 64), fine_filters: int = 16) -> keras.Model:
    """U-Net behind a strided convolution, with one detection per camera pixel.

    A spot with a sigma of one pixel has little beyond half of the camera's spatial
    frequencies, so a quarter of the pixels with as many channels each keeps nearly all of it,
    at a quarter of the cost.

    Parameters
    ----------
    filters : tuple of int
        Channels at half and quarter resolution.
    fine_filters : int
        Channels at full resolution, before the detections.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames, H and W multiples of 4 -> (N, H, W, 7),
        float32.
    """
    frames = read_input()
    coarse = layers.Conv2D(filters[0], 4, strides=2, padding="same", activation="relu")(frames)
    features = trunk(coarse, filters)
    fine = layers.Conv2D(4 * fine_filters, 1, activation="relu")(features)
    fine = layers.Conv2D(fine_filters, 3, padding="same", activation="relu")(SubPixels(2)(fine))
    return keras.Model(frames, detections(fine), name="unet-fast")


def detections(features: keras.KerasTensor) -> keras.KerasTensor:
    """The head of a detection network: each channel within the range of the contract.

    One convolution, since a CPU takes as long for one channel as for sixteen.

    Parameters
    ----------
    features : tensor, shape (N, H, W, C)
        Features of each camera pixel.

    Returns
    -------
    tensor, shape (N, H, W, 7), float32
        Probability in 0..1, two offsets within the contract's reach, two positive sigmas, a
        positive intensity and its positive sigma.
    """
    channels = len(contract.DETECTION_CHANNELS)
    logits = layers.Conv2D(
        channels, 1, bias_initializer=FirstAnswers(), dtype="float32", name=LOGITS
    )(features)
    return Activation(name="detections", dtype="float32")(logits)


@keras.saving.register_keras_serializable("smlm_training")
class FirstAnswers(keras.initializers.Initializer):
    """Initial biases: most camera pixels hold no molecule; all else is zero, which is typical."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        """(7,)."""
        bias = np.zeros(shape, np.float32)
        bias[0] = PROBABILITY_PRIOR
        return keras.ops.convert_to_tensor(bias, dtype)


@keras.saving.register_keras_serializable("smlm_training")
class Activation(layers.Layer):
    """Detections of logits: `smlm_pipeline.compute.activation.activate`, to be trained through."""

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        """(N, H, W, 7) -> (N, H, W, 7)."""
        logit, offset, positive = tf.split(logits, [1, 2, 4], axis=-1)
        least, factor = (np.array(values, np.float32) for values in (LEAST, FACTORS))
        sigma, intensity, relative_sigma = tf.split(
            least + factor * tf.nn.softplus(positive), [2, 1, 1], axis=-1
        )
        parts = [
            tf.sigmoid(logit),
            contract.MAX_OFFSET_PX * tf.tanh(offset),
            sigma,
            intensity,
            intensity * relative_sigma,
        ]
        return tf.concat(parts, axis=-1)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same shape."""
        return shape
