"""Input of the networks."""

from __future__ import annotations

import keras
from keras import layers

from smlm_pipeline import contract


def read_input() -> keras.KerasTensor:
    """Input of every network: one normalised frame, (N, H, W, 1)."""
    return layers.Input((None, None, contract.NORMALIZED.dims[1]), name="frames")
