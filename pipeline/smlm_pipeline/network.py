"""The trained network in this process: ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError

RUN_PIXELS = 4 * 64 * 64
"""Pixels given to ONNX Runtime at a time; larger runs fall out of the CPU's cache."""


class Network:
    """``model.onnx`` with a fixed number of threads.

    ``answer`` is what it answers with: ``contract.DETECTIONS`` or ``contract.MAP``.

    Parameters
    ----------
    path : Path
        The ONNX file.
    intra_op_threads : int
        Threads of one run; 0 takes every CPU that this process may run on.

    Raises
    ------
    ContractError
        If its tensors are not those of the contract.
    """

    def __init__(self, path: Path, *, intra_op_threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = intra_op_threads or available_cpus()
        self._session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self.answer = _answer(self._session)

    def detect(self, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network finds in each frame.

        The answer to a frame does not depend on the frames it is run with.

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
        zoom = contract.MAP_ZOOM if self.answer == contract.MAP else 1
        channels = self.answer.dims[0]
        found = np.empty((count, channels, height * zoom, width * zoom), np.float32)
        step = max(RUN_PIXELS // (height * width), 1)
        for first in range(0, count, step):
            part = slice(first, first + step)
            (found[part],) = self._session.run(
                [self.answer.name], {contract.NORMALIZED.name: normalized[part]}
            )
        return found


def available_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _answer(session: onnxruntime.InferenceSession) -> contract.TensorSpec:
    """What the network answers with, if the names and channels of its tensors fit."""
    tensors = (*session.get_inputs(), *session.get_outputs())
    found = [(tensor.name, tensor.shape[1]) for tensor in tensors]
    for answer in (contract.DETECTIONS, contract.MAP):
        if found == [(spec.name, spec.dims[0]) for spec in (contract.NORMALIZED, answer)]:
            return answer
    told = ", ".join(f"{name} of {channels} channels" for name, channels in found)
    raise ContractError(
        f"the network's tensors are {told}; expected {contract.NORMALIZED.name} of "
        f"{contract.NORMALIZED.dims[0]}, then {contract.DETECTIONS.name} of "
        f"{contract.DETECTIONS.dims[0]} or {contract.MAP.name} of {contract.MAP.dims[0]}: "
        "export it anew with this release"
    )
