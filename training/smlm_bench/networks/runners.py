"""Networks as methods of the comparison, run by Keras, ONNX Runtime or a Triton server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from smlm_bench.method import ZOOM, BlockResult, FilmFacts
from smlm_pipeline import contract
from smlm_pipeline.compute.conditioning import levels_with_scale
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.compute.tiles import emitters, pad
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.localise.localise import localise
from smlm_training.scoring.inference import draw


def block_result(answers: NDArray[np.float32], facts: FilmFacts) -> BlockResult:
    """Draw a network's answers, and merge its detections into molecules.

    Parameters
    ----------
    answers : ndarray, shape (N, 7, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections, or maps, for which there are no molecules.
    facts : FilmFacts
        Facts of the film; padding beyond its field is left out.

    Returns
    -------
    BlockResult
        Picture and molecules.
    """
    height, width = facts.shape_px
    image = draw(answers, facts.shape_px)
    if contract.answer_with(channels=answers.shape[1]).makes_maps:
        return BlockResult(image, None)
    inside = answers[:, :, :height, :width]
    return BlockResult(image, localise(inside, pixel_size_nm=facts.pixel_size_nm))


def _prepared(
    frames_adu: NDArray[np.uint16], facts: FilmFacts
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Padded frames (N, H, W), and levels (N, 2): their own background and the film's scale."""
    return pad(frames_adu), levels_with_scale(frames_adu, float(facts.levels_adu[1]))


class TritonNetwork:
    """One ensemble of a server: frames go there, one image comes back.

    **Equation.** As ``KerasNetwork``; normalising, network, drawing and summing run in
    the server, with TensorRT on a GPU and OpenVINO on a CPU. **Parameters.** One
    request after the other: the latency of a chunk, not the throughput of many.
    Molecules stay in the server, so there are none to score.
    """

    def __init__(self, transport: TritonTransport, facts: FilmFacts) -> None:
        self._transport = transport
        self._facts = facts
        self._window = Window(ZOOM, 0, 0, *facts.shape_px)
        self.block_frames = 16 if contract.ENSEMBLES[transport.model].answer.makes_maps else 32
        self.parameters: dict[str, Any] = {
            "model": transport.model,
            "model_version": transport.served_network().version,
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Request the picture of frames (N, Y, X) from the server."""
        request = Request("comparison", *_prepared(frames_adu, self._facts), self._window)
        sums = self._transport.sum_chunk(request).sums.dense(self._window.shape[1:])
        return BlockResult(emitters(sums, ZOOM), None)


class KerasNetwork:
    """TensorFlow's graph of a network with its own threads, one batch after the other.

    **Equation.** x = sum over frames of draw(f(normalise(y))): the project's own
    normalisation before the network (``compute.normalize``) and its own drawing after it
    (``compute.draw``: ``draw`` of detections, ``sum_map`` of maps, whose negative
    values count as zero), the same for all networks and runtimes.

    **Parameters.** ``batch`` frames at a time. The networks are cited where they are
    built (``smlm_training.networks``): Deep-STORM, doi 10.1364/OPTICA.5.000458; the reference
    paper's predecessor, literature [5], doi 10.1117/12.2656571, is ``unet-interpolated`` here.
    """

    def __init__(self, model: keras.Model, facts: FilmFacts, *, batch: int) -> None:
        self._facts = facts
        self._model = model
        self.block_frames = batch
        self.parameters: dict[str, Any] = {
            "network": model.name,
            "weights": int(model.count_params()),
            "batch": batch,
            "tensorflow": tf.__version__,
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Run the network on a batch of frames (N, Y, X)."""
        normalized = normalize(*_prepared(frames_adu, self._facts))
        answers = self._model.predict_on_batch(normalized.transpose(0, 2, 3, 1))
        return block_result(np.ascontiguousarray(answers.transpose(0, 3, 1, 2)), self._facts)


class DirectOnnxNetwork:
    """The network's exported file, called directly (``smlm_pipeline.compute.onnx_network``).

    **Equation.** As ``KerasNetwork``: x = sum over frames of draw(f(normalise(y))).
    **Parameters.** ONNX Runtime in FP32 on all CPUs that this process may use.
    """

    def __init__(self, file: Path, facts: FilmFacts) -> None:
        self._facts = facts
        self._network = OnnxNetwork(file, intra_op_threads=0)
        self.block_frames = 4 if self._network.answer.makes_maps else 32
        self.parameters: dict[str, Any] = {
            "answers": self._network.answer.name,
            "threads": available_cpus(),
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Run the network on frames (N, Y, X)."""
        answers = self._network.detect(*_prepared(frames_adu, self._facts))
        return block_result(answers, self._facts)
