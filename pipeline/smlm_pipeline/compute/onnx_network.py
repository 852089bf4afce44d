"""A trained network in this process: ONNX Runtime on the CPU, the reference."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from smlm_pipeline import contract
from smlm_pipeline.compute.network import NetworkEngine, answer_of, byte_pairs, check_tile
from smlm_pipeline.compute.normalize import check_levels
from smlm_pipeline.compute.processor import available_cpus, processor_name

REFUSALS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
)
"""Errors of ONNX Runtime about a file."""

RUN_PIXELS = 64 * 64
"""Pixels that a thread computes at a time; larger runs exceed the CPU's cache."""


_NO_REQUEST = np.zeros(contract.REQUEST.dims, np.int32)
"""A call in this process cannot be taken for another; `serving.network` passes the number on."""


class OnnxNetwork:
    """``model.onnx`` with a fixed number of threads; a `smlm_pipeline.compute.network.Network`.

    As many frames as there are threads run in parallel, each in one thread: threads that share
    a frame wait for each other in every layer, and all of them for one that another program
    delays. The frames that remain at the end run in all threads.

    ``answer`` is the kind of its answer, one of ``contract.ANSWERS``; it computes in float32.

    Parameters
    ----------
    path : Path
        The ONNX file.
    intra_op_threads : int
        Threads; 0 takes all CPUs that this process may run on.
    note : str
        Why this engine was taken; see `smlm_pipeline.compute.network.NetworkEngine`.

    Raises
    ------
    ContractError
        If its tensors are not those of the contract.
    """

    def __init__(self, path: Path, *, intra_op_threads: int, note: str = "") -> None:
        self._threads = intra_op_threads or available_cpus()
        network = path.read_bytes()
        self._alone, self._together = _session(network, 1), _session(network, self._threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="network")
        self._running = threading.Lock()
        self.answer = _answer(self._alone)
        self.engine = NetworkEngine(
            "ONNX Runtime", onnxruntime.__version__, "f32", processor_name(), note
        )

    def detect(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Run the network on each frame; one call at a time, with all threads."""
        check_tile(frames_adu)
        check_levels(levels_adu, len(frames_adu))
        frames = byte_pairs(frames_adu)
        count, height, width = frames_adu.shape
        zoom, channels = self.answer.zoom, self.answer.channels
        answers = np.empty((count, channels, height * zoom, width * zoom), np.float32)

        def run(session: onnxruntime.InferenceSession, part: slice) -> None:
            inputs = {
                contract.FRAMES.name: frames[part],
                contract.LEVELS.name: levels_adu[part],
                contract.REQUEST.name: _NO_REQUEST,
            }
            (answers[part],) = session.run([self.answer.name], inputs)

        step = max(RUN_PIXELS // (height * width), 1)
        in_parallel = count // (step * self._threads) * step * self._threads
        parts = [slice(first, first + step) for first in range(0, in_parallel, step)]
        with self._running:
            list(self._pool.map(lambda part: run(self._alone, part), parts))
            step *= self._threads
            for first in range(in_parallel, count, step):
                run(self._together, slice(first, first + step))
        return answers


def _session(network: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _answer(session: onnxruntime.InferenceSession) -> contract.Answer:
    """Find the kind of the answer by the names and axes of the network's tensors."""
    tensors = (*session.get_inputs(), *session.get_outputs())
    return answer_of(
        [
            (tensor.name, tuple(axis if isinstance(axis, int) else -1 for axis in tensor.shape))
            for tensor in tensors
        ]
    )
