"""From features to one detection per pixel, each channel within the contract's range."""

from __future__ import annotations

import keras
from keras import layers

from smlm_pipeline import contract

SIGMA_MIN_PX = 0.01
"""Smallest uncertainty the network may claim, for a finite likelihood."""

PROBABILITY_PRIOR = -4.0
"""Initial logit: most camera pixels hold no molecule."""


def detections(x: keras.KerasTensor) -> keras.KerasTensor:
    """Probability in 0..1, offsets within the contract's reach, positive sigmas."""
    prior = keras.initializers.Constant(PROBABILITY_PRIOR)
    logit = layers.Conv2D(1, 1, bias_initializer=prior, dtype="float32")(x)
    offset = layers.Conv2D(2, 1, dtype="float32")(x)
    spread = layers.Conv2D(2, 1, dtype="float32")(x)
    probability = layers.Activation("sigmoid", dtype="float32")(logit)
    reach = layers.Rescaling(contract.MAX_OFFSET_PX, dtype="float32")(
        layers.Activation("tanh", dtype="float32")(offset)
    )
    sigma = layers.Rescaling(1.0, offset=SIGMA_MIN_PX, dtype="float32")(
        layers.Activation("softplus", dtype="float32")(spread)
    )
    return layers.Concatenate(name="detections", dtype="float32")([probability, reach, sigma])
