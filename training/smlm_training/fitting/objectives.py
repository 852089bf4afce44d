"""The objective of a training run, by the kind of the network's answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from smlm_pipeline import contract
from smlm_training.fitting.losses import count_loss, detection_loss, grid_loss
from smlm_training.fitting.map_losses import map_loss

FEW_MOLECULES = 30
"""Frames of detections weigh this over this and their number of molecules: the likelihood is a sum
over molecules, so without weights the most crowded frames, where least can be found, would be most
of a batch's gradient."""

Objective = Callable[[Any, Any, Any, Any], tuple[Any, Any]]
"""(answer, position_px, present, intensity) -> loss (N,) and its part about the count (N,)."""


def objective_of(answer: contract.Answer, *, l1_weight: float, grid_weight: float) -> Objective:
    """The objective of networks with such an answer.

    Parameters
    ----------
    answer : Answer
        Kind of the network's answer.
    l1_weight : float
        Weight of the L1 term in the loss of maps.
    grid_weight : float
        Weight of `losses.grid_loss` in the loss of detections.

    Returns
    -------
    callable
        Of the network's answer, ``position_px`` (N, E, 2), ``present`` (N, E) and ``intensity``
        (N, E), float32: the loss of each frame, and the error of the count. For detections both
        have the frame's weight, and the latter is the count's part of the loss; for maps, which
        ignore intensities, it is the difference between the sum and the true number of emitters.
    """
    if answer.makes_maps:
        return partial(_of_map, l1_weight=l1_weight)
    return partial(_of_detections, grid_weight=grid_weight)


def _of_detections(
    answer: Any, position_px: Any, present: Any, intensity: Any, *, grid_weight: float
) -> tuple[Any, Any]:
    weight = FEW_MOLECULES / (FEW_MOLECULES + tf.reduce_sum(present, axis=1))
    loss = detection_loss(answer, position_px, present, intensity)
    if grid_weight:
        loss += grid_weight * grid_loss(answer, position_px, present)
    return weight * loss, weight * count_loss(answer, present)


def _of_map(
    answer: Any, position_px: Any, present: Any, _intensity: Any, *, l1_weight: float
) -> tuple[Any, Any]:
    miscount = tf.reduce_sum(answer, axis=(1, 2, 3)) - tf.reduce_sum(present, axis=1)
    return map_loss(answer, position_px, present, l1_weight=l1_weight), tf.abs(miscount)
