"""A trained network on a Triton server: the path of ``recon-client submit``, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from smlm_bench.method import ZOOM, FilmFacts, Found
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import emitters
from smlm_pipeline.compute.normalize import normalize_whole
from smlm_pipeline.compute.onnx_network import OnnxNetwork, available_cpus
from smlm_pipeline.compute.tiles import pad
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.localise.localise import localise
from smlm_training.scoring.inference import draw


class Field:
    """Frames of one film as networks read them: cut to whole multiples, with levels and mean."""

    def __init__(self, facts: FilmFacts) -> None:
        self._facts = facts
        self.mean_adu = pad(facts.mean_adu[None])[0]

    def cut(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Frames (N, Y, X) with their last rows and columns repeated up to the multiple."""
        return pad(frames_adu)

    def levels_adu(self, count: int) -> NDArray[np.float32]:
        """Background and scale of so many frames, (N, 2)."""
        return np.repeat(self._facts.levels_adu[None], count, axis=0)

    def normalized(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Frames (N, Y, X) as the network reads them, (N, 2, H, W)."""
        return normalize_whole(frames_adu, self._facts.mean_adu, self._facts.levels_adu)


def found_in(answers: NDArray[np.float32], facts: FilmFacts) -> Found:
    """Picture and molecules of a network's answers.

    Parameters
    ----------
    answers : ndarray, shape (N, 5, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections, which are drawn and merged into molecules, or maps, which are summed.
    facts : FilmFacts
        Of the film; what was padded beyond its field is left out.
    """
    height, width = facts.shape_px
    image = draw(answers, facts.shape_px)
    if contract.answer_with(channels=answers.shape[1]).makes_maps:
        return Found(image, None)
    inside = answers[:, :, :height, :width]
    return Found(image, localise(inside, pixel_size_nm=facts.pixel_size_nm))


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
        maps = contract.ENSEMBLES[transport.model].answer.makes_maps
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
        return Found(emitters(self._transport.sum_chunk(request).image, ZOOM), None)


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


class DirectOnnxNetwork:
    """The network's exported file, called directly (``smlm_pipeline.compute.onnx_network``).

    **Equation.** As ``KerasNetwork``: x = sum over frames of draw(f(normalise(y))).
    **Parameters.** ONNX Runtime in FP32 on all CPUs that this process may use.
    """

    def __init__(self, file: Path, facts: FilmFacts) -> None:
        self._field = Field(facts)
        self._facts = facts
        self._network = OnnxNetwork(file, intra_op_threads=0)
        maps = self._network.answer.makes_maps
        self.block_frames = 4 if maps else 32
        self.parameters: dict[str, Any] = {
            "answers": self._network.answer.name,
            "threads": available_cpus(),
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:
        """The network's picture of frames (N, Y, X)."""
        return found_in(self._network.detect(self._field.normalized(frames_adu)), self._facts)
