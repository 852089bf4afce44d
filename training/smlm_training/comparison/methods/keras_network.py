"""A trained network through Keras, as its authors run it: what comes before any acceleration."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from smlm_training.comparison.methods.answers import Field, found_in
from smlm_training.comparison.methods.film_facts import FilmFacts
from smlm_training.comparison.methods.found import Found


class KerasNetwork:
    """TensorFlow's graph of a network, its own threads, one batch after the other.

    **Equation.** x = sum over frames of draw(f(normalise(y))): the project's own
    normalisation before the network (``kernels.normalize``) and its own drawing after it
    (``kernels.draw`` of detections, ``kernels.sum_map`` of a fine map, whose negative
    values count as none), the same for all networks and runtimes.

    **Parameters.** ``batch`` frames at a time. The networks are cited where they are
    built (``smlm_training.networks``): Deep-STORM, doi 10.1364/OPTICA.5.000458; the seed's
    predecessor, literature [5], doi 10.1117/12.2656571, is ``unet-interpolated`` here.
    """

    def __init__(self, model: keras.Model, facts: FilmFacts, *, batch: int) -> None:
        self._field = Field(facts)
        self._facts = facts
        self._model = model
        self.block_frames = batch
        self.parameters: dict[str, Any] = {
            "network": model.name,
            "weights": int(model.count_params()),
            "batch": batch,
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:
        """The network's picture of a batch of frames (N, Y, X)."""
        normalized = self._field.normalized(frames_adu)
        answers = self._model.predict_on_batch(normalized.transpose(0, 2, 3, 1))
        return found_in(np.ascontiguousarray(answers.transpose(0, 3, 1, 2)), self._facts)
