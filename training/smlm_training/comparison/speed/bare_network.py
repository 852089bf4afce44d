"""A network on frames that lie ready in memory, without anything around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.network import Network, available_cpus

if TYPE_CHECKING:
    import keras


def through_onnx(network: Path, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """Nothing but ONNX Runtime on all threads, so many frames at once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(
        str(network), options, providers=["CPUExecutionProvider"]
    )

    def work() -> None:
        for first in range(0, len(ready), batch):
            session.run(None, {contract.NORMALIZED.name: ready[first : first + batch]})

    return work


def side_by_side(network: Path, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """The same with each frame in one thread; so many are handed over at once."""
    session = Network(network, intra_op_threads=0)

    def work() -> None:
        for first in range(0, len(ready), batch):
            session.detect(ready[first : first + batch])

    return work


def through_keras(
    model: keras.Model, ready: NDArray[np.float32], batch: int
) -> Callable[[], object]:
    """TensorFlow's graph, so many frames at once."""
    frames = np.ascontiguousarray(ready.transpose(0, 2, 3, 1))

    def work() -> None:
        for first in range(0, len(frames), batch):
            model.predict_on_batch(frames[first : first + batch])

    return work
