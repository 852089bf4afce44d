"""The loss of map networks: equation (1) of the reference paper.

::

    L = 1/K sum_i ( || g * x^_i - g * x_i ||_2^2 + w || x^_i ||_1 )

Deep-STORM's (Nehme et al., doi 10.1364/OPTICA.5.000458) with one kernel on both
maps: there the network's map is convolved with twice the kernel. Norms are sums over the
SR pixels; x holds ``MAP_SCALE`` (100) for every emitter, x^ is the network's
map in the same unit, g is a 7 x 7 Gaussian of sigma 1 SR pixel and sum 1, and
beyond the border both maps are zero. As written, w is 1.

The two terms scale as the square of the spike and as the spike, so w depends
on its size: in emitters per SR pixel q the loss is
``100^2 (|| g * q^ - g * q ||^2 + (w / 100) || q^ ||_1)``. Where the network
knows an emitter only up to a probability density p over SR pixels, the
smallest loss is at ``q^ = a p`` with ``1 - a = w / (200 ||g * p||^2)``, as long as
emitters lie apart: at w = 1 that loses 6 % of an emitter that is known to the
pixel, 31 % for a standard deviation of 2 SR pixels and everything from 3.9 on;
at w = 0.02, 0.1, 0.6 and 2 %.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_training.networks.fine_map import MAP_SCALE

KERNEL_PX = 7
"""Edge of g, in SR pixels."""

KERNEL_SIGMA_PX = 1.0
"""Standard deviation of g, in SR pixels."""


def truth_maps(
    position_px: tf.Tensor,
    present: tf.Tensor,
    height_px: tf.Tensor,
    width_px: tf.Tensor,
    zoom: int = contract.MAP_ZOOM,
) -> tf.Tensor:
    """Emitters per SR pixel: each counts one in the pixel ``floor(position * zoom)``.

    Emitters that share a SR pixel add up (Deep-STORM's count once). A position
    that rounding has put on the far border counts in the last SR pixel.

    Parameters
    ----------
    position_px : tensor, shape (N, E, 2), float32
        y and x of the emitters, in camera pixels from the corner of the frame.
    present : tensor, shape (N, E), float32
        One where a place is taken, else zero. Emitters outside of the patch are
        not present.
    height_px, width_px : int or scalar tensor
        Edges of the frames, in camera pixels.
    zoom : int
        SR pixels along the edge of a camera pixel.

    Returns
    -------
    tensor, shape (N, zoom * height_px, zoom * width_px, 1), float32
    """
    frames, places = tf.unstack(tf.shape(present))
    size = zoom * tf.stack([height_px, width_px])
    fine = tf.cast(tf.floor(position_px * zoom), tf.int32)
    fine = tf.clip_by_value(fine, 0, size - 1)
    frame = tf.broadcast_to(tf.range(frames)[:, None, None], (frames, places, 1))
    shape = tf.concat([[frames], size], axis=0)
    return tf.scatter_nd(tf.concat([frame, fine], axis=-1), present, shape)[..., None]


def map_loss(
    prediction: tf.Tensor, position_px: tf.Tensor, present: tf.Tensor, *, l1_weight: float
) -> tf.Tensor:
    """Equation (1) for each frame; its mean over a batch is the paper's L.

    Parameters
    ----------
    prediction : tensor, shape (N, 8 H, 8 W, 1), float32
        Emitters per SR pixel, as map networks answer.
    position_px : tensor, shape (N, E, 2), float32
        y and x of the emitters of the patch, in camera pixels.
    present : tensor, shape (N, E), float32
        One where a place is taken, else zero.
    l1_weight : float
        w: 1 is the equation as written and loses half of the emitters; 0.02
        keeps the sum within 2 %.

    Returns
    -------
    tensor, shape (N,), float32
    """
    shape, zoom = tf.shape(prediction), contract.MAP_ZOOM
    truth = truth_maps(position_px, present, shape[1] // zoom, shape[2] // zoom)
    error = _blur(MAP_SCALE * (prediction - truth))
    sparsity = tf.reduce_sum(tf.abs(MAP_SCALE * prediction), axis=(1, 2, 3))
    return tf.reduce_sum(error**2, axis=(1, 2, 3)) + l1_weight * sparsity


def _blur(maps: tf.Tensor) -> tf.Tensor:
    """The maps convolved with g: along y, then along x, which is the same."""
    profile = _profile()
    blurred = maps
    for shape in ((KERNEL_PX, 1, 1, 1), (1, KERNEL_PX, 1, 1)):
        blurred = tf.nn.conv2d(blurred, profile.reshape(shape), strides=1, padding="SAME")
    return blurred


def _profile() -> NDArray[np.float32]:
    """One axis of g, of sum 1."""
    distance_px = np.arange(KERNEL_PX) - KERNEL_PX // 2
    weights = np.exp(-0.5 * (distance_px / KERNEL_SIGMA_PX) ** 2)
    profile: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return profile
