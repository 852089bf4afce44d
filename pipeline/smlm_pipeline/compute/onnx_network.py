"""A trained network in this process: ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError

RUN_PIXELS = 64 * 64
"""Pixels that a thread computes at a time; larger runs exceed the CPU's cache."""


class OnnxNetwork:
    """``model.onnx`` with a fixed number of threads.

    As many frames as there are threads run in parallel, each in one thread: threads that share
    a frame wait for each other in every layer, and all of them for one that another program
    delays. The frames that remain at the end run in all threads.

    ``answer`` is the kind of its answer, one of ``contract.ANSWERS``.

    Parameters
    ----------
    path : Path
        The ONNX file.
    intra_op_threads : int
        Threads; 0 takes all CPUs that this process may run on.

    Raises
    ------
    ContractError
        If its tensors are not those of the contract.
    """

    def __init__(self, path: Path, *, intra_op_threads: int) -> None:
        self._threads = intra_op_threads or available_cpus()
        network = path.read_bytes()
        self._alone, self._together = _session(network, 1), _session(network, self._threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="network")
        self.answer = _answer(self._alone)

    def detect(self, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on each frame.

        The answer to a frame does not depend on the frames it is run with, nor on the threads.

        Parameters
        ----------
        normalized : ndarray, shape (N, 1, H, W), float32
            Frames as `smlm_pipeline.compute.normalize.normalize` makes them.

        Returns
        -------
        ndarray, shape (N, 5, H, W) or (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
            Channels of ``contract.DETECTION_CHANNELS``, or emitters per SR pixel.
        """
        count, _, height, width = normalized.shape
        zoom, channels = self.answer.zoom, self.answer.channels
        answers = np.empty((count, channels, height * zoom, width * zoom), np.float32)

        def run(session: onnxruntime.InferenceSession, part: slice) -> None:
            (answers[part],) = session.run(
                [self.answer.name], {contract.NORMALIZED.name: normalized[part]}
            )

        step = max(RUN_PIXELS // (height * width), 1)
        in_parallel = count // (step * self._threads) * step * self._threads
        parts = [slice(first, first + step) for first in range(0, in_parallel, step)]
        list(self._pool.map(lambda part: run(self._alone, part), parts))
        step *= self._threads
        for first in range(in_parallel, count, step):
            run(self._together, slice(first, first + step))
        return answers


def _session(network: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def available_cpus() -> int:
    """Count the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _answer(session: onnxruntime.InferenceSession) -> contract.Answer:
    """Find the kind of the answer by the names and channels of the network's tensors."""
    tensors = (*session.get_inputs(), *session.get_outputs())
    present = [(tensor.name, tensor.shape[1]) for tensor in tensors]
    for answer in contract.ANSWERS:
        if present == [(spec.name, spec.dims[0]) for spec in (contract.NORMALIZED, answer.tensor)]:
            return answer
    listed = ", ".join(f"{name} of {channels} channels" for name, channels in present)
    raise ContractError(
        f"the network's tensors are {listed}; expected {contract.NORMALIZED.name} of "
        f"{contract.NORMALIZED.dims[0]}, then {contract.DETECTIONS.name} of "
        f"{contract.DETECTIONS.dims[0]} or {contract.MAP.name} of {contract.MAP.dims[0]}: "
        "train it with this release and export it"
    )
