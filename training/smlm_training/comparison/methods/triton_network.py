"""A trained network on a Triton server: the path of ``recon-client submit``, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.transport import Request
from smlm_pipeline.triton import TritonTransport
from smlm_training.comparison.methods.answers import Field, emitters
from smlm_training.comparison.methods.film_facts import FilmFacts
from smlm_training.comparison.methods.found import ZOOM, Found


class TritonNetwork:
    """One ensemble of a server: frames go there, one image comes back.

    **Equation.** As ``KerasNetwork``; normalising, network, drawing and summing run in
    the server, with TensorRT on a GPU and ONNX Runtime on a CPU. **Parameters.** One
    request after the other: the latency of a chunk, not the throughput of many.
    Molecules stay in the server, so there are none to score.
    """

    def __init__(self, transport: TritonTransport, facts: FilmFacts) -> None:
        self._transport = transport
        self._field = Field(facts)
        self._window = np.array([ZOOM, 0, 0, *facts.shape_px], np.int32)
        maps = transport.model == contract.RECONSTRUCTION_MAP.name
        self.block_frames = 16 if maps else 32
        self.parameters: dict[str, Any] = {
            "model": transport.model,
            "model_version": transport.model_version(),
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:
        """The server's picture of frames (N, Y, X)."""
        request = Request(
            label="comparison",
            frames_adu=self._field.cut(frames_adu),
            levels_adu=self._field.levels_adu(len(frames_adu)),
            mean_adu=self._field.mean_adu,
            window=self._window,
        )
        return Found(emitters(self._transport.sum_chunk(request).image), None)
