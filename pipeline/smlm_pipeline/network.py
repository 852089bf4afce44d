"""The trained network in this process: ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smlm_pipeline import contract

RUN_PIXELS = 4 * 64 * 64
"""Pixels given to ONNX Runtime at a time; larger runs fall out of the CPU's cache."""


class Network:
    """``model.onnx`` with a fixed number of threads.

    Parameters
    ----------
    path : Path
        The ONNX file.
    intra_op_threads : int
        Threads of one run; 0 takes every CPU that this process may run on.
    """

    def __init__(self, path: Path, *, intra_op_threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = intra_op_threads or available_cpus()
        self._session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    def detect(self, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
        """Detections of each frame.

        A frame's detections do not depend on the frames it is run with.

        Parameters
        ----------
        normalized : ndarray, shape (N, 1, H, W), float32
            Dimensionless frames.

        Returns
        -------
        ndarray, shape (N, 5, H, W), float32
            Channels of ``contract.DETECTION_CHANNELS``.
        """
        count, _, height, width = normalized.shape
        detections = np.empty((count, len(contract.DETECTION_CHANNELS), height, width), np.float32)
        step = max(RUN_PIXELS // (height * width), 1)
        for first in range(0, count, step):
            part = slice(first, first + step)
            (detections[part],) = self._session.run(
                [contract.DETECTIONS.name], {contract.NORMALIZED.name: normalized[part]}
            )
        return detections


def available_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
