"""The trained network in this process: ONNX Runtime on the CPU."""

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
"""Pixels that a thread is given at a time; larger runs fall out of the CPU's cache."""


class OnnxNetwork:
    """``model.onnx`` with a fixed number of threads.

    As many frames as there are threads run side by side, each in one thread: threads that share
    a frame wait for each other in every layer, and all of them for one that another program
    holds up. What is left over at the end runs in all threads.

    ``answer`` is the kind of its answer, one of ``contract.ANSWERS``.

    Parameters
    ----------
    path : Path
        The ONNX file.
    intra_op_threads : int
        Threads; 0 takes every CPU that this process may run on.

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
        """What the network finds in each frame.

        The answer to a frame does not depend on the frames it is run with, nor on the threads.

        Parameters
        ----------
        normalized : ndarray, shape (N, 2, H, W), float32
            Channels of ``contract.NORMALIZED_CHANNELS``.

        Returns
        -------
        ndarray, shape (N, 5, H, W) or (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
            Channels of ``contract.DETECTION_CHANNELS``, or emitters per fine pixel.
        """
        count, _, height, width = normalized.shape
        zoom, channels = self.answer.zoom, self.answer.channels
        found = np.empty((count, channels, height * zoom, width * zoom), np.float32)

        def run(session: onnxruntime.InferenceSession, part: slice) -> None:
            (found[part],) = session.run(
                [self.answer.name], {contract.NORMALIZED.name: normalized[part]}
            )

        step = max(RUN_PIXELS // (height * width), 1)
        side_by_side = count // (step * self._threads) * step * self._threads
        parts = [slice(first, first + step) for first in range(0, side_by_side, step)]
        list(self._pool.map(lambda part: run(self._alone, part), parts))
        step *= self._threads
        for first in range(side_by_side, count, step):
            run(self._together, slice(first, first + step))
        return found


def _session(network: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def available_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _answer(session: onnxruntime.InferenceSession) -> contract.Answer:
    """What the network answers with, if the names and channels of its tensors fit."""
    tensors = (*session.get_inputs(), *session.get_outputs())
    found = [(tensor.name, tensor.shape[1]) for tensor in tensors]
    for answer in contract.ANSWERS:
        if found == [(spec.name, spec.dims[0]) for spec in (contract.NORMALIZED, answer.tensor)]:
            return answer
    told = ", ".join(f"{name} of {channels} channels" for name, channels in found)
    raise ContractError(
        f"the network's tensors are {told}; expected {contract.NORMALIZED.name} of "
        f"{contract.NORMALIZED.dims[0]}, then {contract.DETECTIONS.name} of "
        f"{contract.DETECTIONS.dims[0]} or {contract.MAP.name} of {contract.MAP.dims[0]}: "
        "export it anew with this release"
    )
