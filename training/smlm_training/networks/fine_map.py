"""Layers that all map networks share: the SR grid and the unit of a map.

A map network answers with the expected number of emitters in each SR pixel, so the plain sum
of a map is a count. Inside the network one emitter is worth ``MAP_SCALE``, as in Deep-STORM,
because layers train badly on values of a thousandth; the last layer,
``emitters_per_sr_pixel``, divides by it. The loss multiplies both maps by ``MAP_SCALE`` again,
so the weights see the gradients of Deep-STORM's spikes.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from smlm_pipeline import contract
from smlm_training.networks.resampling import DoubleSize

DENSITY_PRIOR = 0.1
"""Initial value of our maps, in the unit inside: about 6 emitters per square micrometre."""

GRADIENT_BELOW_ZERO = 0.1
"""Share of the gradient that ``Density`` lets pass to a negative value."""

MAP_SCALE = 100.0
"""Value of one emitter inside a map network and in its loss."""


def enlarge_frames(frames: keras.KerasTensor) -> keras.KerasTensor:
    """Repeat every camera pixel ``contract.MAP_ZOOM`` times along y and x: (N, 8 H, 8 W, 1).

    Three doublings, because the export writes a doubling as one node. The interpolation is no
    smoother because Deep-STORM repeats its training pairs and frames like this (``imresize``
    with a box, ``kron``), and the reference paper follows it.
    """
    for _ in range(contract.MAP_ZOOM.bit_length() - 1):
        frames = DoubleSize()(frames)
    return frames


@keras.saving.register_keras_serializable("smlm_training")
class Density(layers.Layer):
    """A ReLU that cannot die: in training, values below zero keep a tenth of their gradient.

    Measured in short runs: linear answers put more than a third of a map's sum into
    negative values, and setting those to zero afterwards raised the sum from 0.83 to
    1.13 of the truth; a plain ReLU behind the one channel of ``unet-interpolated``
    went to zero everywhere and stayed there; softplus learns as well as this, but
    computes an exponential for every SR pixel.
    """

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Values, none of them negative; the same in training and after it."""
        rectified = tf.nn.relu(x)
        if not training:
            return rectified
        below = GRADIENT_BELOW_ZERO * tf.minimum(x, 0.0)
        return rectified + below - tf.stop_gradient(below)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return shape


def density(features: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """A density, float32, from each pixel's features alone; nearly uniform at the start."""
    head = layers.Conv2D(
        channels,
        1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.03),
        bias_initializer=keras.initializers.Constant(DENSITY_PRIOR),
        dtype="float32",
    )
    return Density(dtype="float32")(head(features))


def emitters_per_sr_pixel(x: keras.KerasTensor) -> keras.KerasTensor:
    """The map in emitters, float32 at any precision of the layers before."""
    return layers.Rescaling(1 / MAP_SCALE, dtype="float32", name="map")(x)
