"""The likelihood of the true molecules under a network's detections.

After DECODE (Speiser et al., doi 10.1038/s41592-021-01236-x), written from its
equations and without its z term.
"""

from __future__ import annotations

import math

import tensorflow as tf

NEIGHBOURHOOD_PX = 2
"""A molecule is compared with the pixels at most this far away, along y and x."""

_LOG_2PI = 1.8378770664093453


def detection_loss(
    detections: tf.Tensor, position_px: tf.Tensor, present: tf.Tensor, intensity: tf.Tensor
) -> tf.Tensor:
    """Negative log-likelihood per frame: of the count, and of the positions and intensities.

    Parameters
    ----------
    detections : tensor, shape (N, H, W, 7), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    position_px : tensor, shape (N, E, 2), float32
        y and x of the molecules of the patch.
    present : tensor, shape (N, E), float32
        One where a place is taken, else zero.
    intensity : tensor, shape (N, E), float32
        Light of the molecules in units of the frame's scale; NaN where it is not known.

    Returns
    -------
    tensor, shape (N,), float32
    """
    molecules = molecule_loss(detections, position_px, present, intensity)
    return count_loss(detections, present) + molecules


def count_loss(detections: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """-log N(count; sum p, sum p (1 - p)): a sum of Bernoulli variables, nearly normal."""
    probability = detections[..., 0]
    mean = tf.reduce_sum(probability, axis=(1, 2))
    variance = tf.reduce_sum(probability * (1 - probability), axis=(1, 2)) + 1e-3
    residual = tf.reduce_sum(present, axis=1) - mean
    return 0.5 * (residual**2 / variance + tf.math.log(variance) + _LOG_2PI)


def molecule_loss(
    detections: tf.Tensor, position_px: tf.Tensor, present: tf.Tensor, intensity: tf.Tensor
) -> tf.Tensor:
    """-sum over molecules of log sum_k (p_k / sum p) N(position) N(intensity), each of pixel k.

    Position and intensity are normal about the answer of pixel k, with its sigmas; an
    intensity that is not known adds nothing. The inner sum runs over the pixels within
    ``NEIGHBOURHOOD_PX`` of the molecule: an offset reaches one pixel, so the others add nothing.
    A molecule near the border simply has fewer such pixels.
    """
    shape = tf.shape(detections)
    near, inside, centre = _neighbours(position_px, shape[1], shape[2])
    candidates = tf.gather_nd(detections, near, batch_dims=1)
    probability = candidates[..., 0] * inside
    of_position = tf.reduce_sum(
        _log_normal(position_px[:, :, None], centre + candidates[..., 1:3], candidates[..., 3:5]),
        axis=-1,
    )
    known = tf.math.is_finite(intensity)
    light = tf.where(known, intensity, 1.0)[:, :, None]  # any number: it has no gradient then
    of_intensity = tf.where(
        known[:, :, None], _log_normal(light, candidates[..., 5], candidates[..., 6]), 0.0
    )
    total = tf.reduce_sum(detections[..., 0], axis=(1, 2))[:, None]
    log_mixture = tf.reduce_logsumexp(
        tf.math.log(probability + 1e-12) + of_position + of_intensity, axis=-1
    ) - tf.math.log(total + 1e-6)
    return -tf.reduce_sum(log_mixture * present, axis=1)


def grid_loss(detections: tf.Tensor, position_px: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """How far detections gather at the camera's grid, which molecules know nothing of.

    A posterior mean is drawn to the middle or to the edges of its pixel, so lines become beads
    with the camera's period. Of each quarter q of a frame, D_q = sum p exp(2 pi i y) less that of
    the true molecules, and likewise along x; the loss is the sum of D_q times the conjugate of D_r
    over pairs of different quarters, per molecule. What is common to the quarters is the grid's;
    chance differs between them, and adds nothing on average.

    Parameters
    ----------
    detections, position_px, present
        As of `detection_loss`; the frames' edges are even.

    Returns
    -------
    tensor, shape (N,), float32
        May be negative by chance.
    """
    shape = tf.shape(detections)
    quarter_px = shape[1:3] // 2
    waves = _waves(detections[..., 1:3] + 0.5) * detections[..., :1]
    folded = tf.reshape(waves, (shape[0], 2, quarter_px[0], 2, quarter_px[1], 4))
    drawn = tf.reshape(tf.reduce_sum(folded, axis=(2, 4)), (shape[0], 4, 4))
    side = tf.cast(position_px >= tf.cast(quarter_px, tf.float32), tf.int32)
    quarter = tf.one_hot(2 * side[..., 0] + side[..., 1], 4) * present[..., None]
    excess = drawn - tf.einsum("neq,new->nqw", quarter, _waves(position_px))
    pairs = tf.reduce_sum(excess, axis=1) ** 2 - tf.reduce_sum(excess**2, axis=1)
    return tf.reduce_sum(pairs, axis=1) / (tf.reduce_sum(present, axis=1) + 1)


def _waves(position_px: tf.Tensor) -> tf.Tensor:
    """Cosine and sine of y and of x, (..., 2) -> (..., 4), with a period of one pixel."""
    phase = 2 * math.pi * position_px
    return tf.concat([tf.cos(phase), tf.sin(phase)], axis=-1)


def _log_normal(value: tf.Tensor, mean: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    return -0.5 * ((value - mean) / sigma) ** 2 - tf.math.log(sigma) - 0.5 * _LOG_2PI


def _neighbours(
    position_px: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Indices (N, E, K, 2) of the pixels near each molecule, which exist, and their centres."""
    reach = tf.range(-NEIGHBOURHOOD_PX, NEIGHBOURHOOD_PX + 1)
    steps = tf.reshape(tf.stack(tf.meshgrid(reach, reach, indexing="ij"), axis=-1), (-1, 2))
    pixel = tf.cast(tf.floor(position_px), tf.int32)[:, :, None] + steps
    limit = tf.stack([height, width]) - 1
    clipped = tf.clip_by_value(pixel, 0, limit)
    inside = tf.cast(tf.reduce_all(tf.equal(clipped, pixel), axis=-1), tf.float32)
    return clipped, inside, tf.cast(pixel, tf.float32) + 0.5
