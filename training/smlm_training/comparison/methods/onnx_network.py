"""A trained network through ONNX Runtime in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.network import Network, available_cpus
from smlm_training.comparison.methods.answers import Field, found_in
from smlm_training.comparison.methods.film_facts import FilmFacts
from smlm_training.comparison.methods.found import Found


class OnnxNetwork:
    """The network's exported file, called directly (``smlm_pipeline.network.Network``).

    **Equation.** As ``KerasNetwork``: x = sum over frames of draw(f(normalise(y))).
    **Parameters.** ONNX Runtime in FP32 on all CPUs that this process may use.
    """

    def __init__(self, file: Path, facts: FilmFacts) -> None:
        self._field = Field(facts)
        self._facts = facts
        self._network = Network(file, intra_op_threads=0)
        maps = self._network.answer == contract.MAP
        self.block_frames = 4 if maps else 32
        self.parameters: dict[str, Any] = {
            "answers": self._network.answer.name,
            "threads": available_cpus(),
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:
        """The network's picture of frames (N, Y, X)."""
        return found_in(self._network.detect(self._field.normalized(frames_adu)), self._facts)
