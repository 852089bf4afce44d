"""What is timed on one size of frames: the bare network, the engines, Keras, and Deep-STORM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tifffile
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.network import available_cpus
from smlm_pipeline.transport import Transport
from smlm_training.comparison.speed.client_path import through
from smlm_training.scoring.inference import normalized
from smlm_training.simulation.presets import preset_film

LIMIT, LOCAL, TRITON, KERAS = "ONNX Runtime, direct", "local engine", "Triton", "Keras"
PEER_KERAS, PEER_ONNX = "Deep-STORM, Keras", "Deep-STORM, ONNX Runtime"

BATCHES = {LIMIT: (1, 4, 16), KERAS: (1, 16), PEER_ONNX: (1, 4)}
"""Frames given at once to what takes frames from memory."""

PEER_FRAMES = {128: 4, 256: 1}
"""Of a film up to this size that Deep-STORM is timed on, fifty times slower as it is; of frames
that are larger still, its layers on the fine grid take gigabytes."""

_SIMULATED_FRAMES = 32


@dataclass(frozen=True)
class Contender:
    """Work on ``frames`` frames; ``batch`` is 0 where the engine cuts the film itself."""

    name: str
    batch: int
    frames: int
    work: Callable[[], object]

    @property
    def title(self) -> str:
        """Name, with the batch if there is one."""
        return f"{self.name}, batches of {self.batch}" if self.batch else self.name


@dataclass(frozen=True)
class Engines:
    """What is opened once for all sizes."""

    network: Path
    peer: Path
    keras_network: keras.Model
    keras_peer: keras.Model
    local: Transport
    triton: Transport


def write_film(path: Path, frames: int, size_px: int) -> Path:
    """A film of microtubules of which the frames repeat after ``_SIMULATED_FRAMES``."""
    made = preset_film(
        "microtubules", seed=5, frames=_SIMULATED_FRAMES, height_px=size_px, width_px=size_px
    ).frames_adu
    repeated = np.resize(made, (frames, size_px, size_px))
    tifffile.imwrite(path, repeated, photometric="minisblack")
    return path


def contenders(film: Path, size_px: int, engines: Engines) -> list[Contender]:
    """All that are timed on a film: engines from its file, the others from memory."""
    ready = normalized(tifffile.imread(film))
    count = len(ready)
    found = [
        Contender(LIMIT, batch, count, _onnx(engines.network, ready, batch))
        for batch in BATCHES[LIMIT]
    ]
    found += [
        Contender(LOCAL, 0, count, lambda: through(film, engines.local)),
        Contender(TRITON, 0, count, lambda: through(film, engines.triton)),
    ]
    found += [
        Contender(KERAS, batch, count, _keras(engines.keras_network, ready, batch))
        for batch in BATCHES[KERAS]
    ]
    return found + _peers(ready, size_px, engines)


def _peers(ready: NDArray[np.float32], size_px: int, engines: Engines) -> list[Contender]:
    """Deep-STORM on a few frames, in the batches that these fill."""
    few = next((ready[:count] for most, count in PEER_FRAMES.items() if size_px <= most), ready[:0])
    found = []
    for batch in (batch for batch in BATCHES[PEER_ONNX] if batch <= len(few)):
        found += [
            Contender(PEER_ONNX, batch, len(few), _onnx(engines.peer, few, batch)),
            Contender(PEER_KERAS, batch, len(few), _keras(engines.keras_peer, few, batch)),
        ]
    return found


def _onnx(network: Path, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """Nothing but ONNX Runtime on frames that lie ready in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(
        str(network), options, providers=["CPUExecutionProvider"]
    )

    def work() -> None:
        for first in range(0, len(ready), batch):
            session.run(None, {contract.NORMALIZED.name: ready[first : first + batch]})

    return work


def _keras(model: keras.Model, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """TensorFlow's graph on frames that lie ready in memory."""
    frames = np.ascontiguousarray(ready.transpose(0, 2, 3, 1))

    def work() -> None:
        for first in range(0, len(frames), batch):
            model.predict_on_batch(frames[first : first + batch])

    return work
