"""The networks, by name: each a function that builds a Keras model."""

from __future__ import annotations

from collections.abc import Callable

import keras

from smlm_training.networks.unet import unet

NETWORKS: dict[str, Callable[[], keras.Model]] = {"unet": unet}
"""Builders by the name that a preset takes."""
