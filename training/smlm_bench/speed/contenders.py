"""What is timed on one size of frames: the bare network, the engines, Keras, and Deep-STORM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import onnxruntime
import tifffile
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork, available_cpus
from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings
from smlm_training.scoring.inference import normalized
from smlm_training.simulation.presets import preset_film

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
    session = OnnxNetwork(network, intra_op_threads=0)

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


def through(film: Path, transport: Transport) -> None:
    """Reconstruct a film as ``recon-client submit`` does, and forget the image."""
    with open_film(film) as stack:
        reconstruct(stack, transport, Settings())


LIMIT, SIDE_BY_SIDE = "ONNX Runtime, direct", "ONNX Runtime, frames side by side"


LIMITS = (LIMIT, SIDE_BY_SIDE)
"""Nothing but ONNX Runtime: a frame in all threads, or as many frames as threads, which is how
the client's network runs. The faster one of them is the limit of what can be reached."""


LOCAL, TRITON, KERAS = "local engine", "Triton", "Keras"


PEER_KERAS, PEER_ONNX = "Deep-STORM, Keras", "Deep-STORM, ONNX Runtime"


CLIENT, SERVER = "Triton, the client", "Triton, the server"


def titled(name: str, batch: int) -> str:
    """A name, with the frames given at once if the caller says how many."""
    return f"{name}, batches of {batch}" if batch else name


BATCHES = {LIMIT: (1, 4, 16), SIDE_BY_SIDE: (32,), KERAS: (1, 16), PEER_ONNX: (1, 4)}
"""Frames given at once to what takes frames from memory."""


PEER_FRAMES = {128: 4, 256: 1}
"""Of a film up to this size that Deep-STORM is timed on, fifty times slower as it is; a frame of
512 pixels takes some 11 GiB, which did not fit beside the others in 24 GiB."""


_SIMULATED_FRAMES = 32


@dataclass(frozen=True)
class Contender:
    """Work on ``frames`` frames; ``batch`` is 0 where the engine cuts the film itself."""

    name: str
    batch: int
    frames: int
    work: Callable[[], object]


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


def contenders(film: Path, size_px: int, engines: Engines, times: int = 1) -> list[Contender]:
    """All that are timed on a film: engines from its file, the others from memory.

    Deep-STORM gets ``times`` as many frames as it is given once.
    """
    ready = normalized(tifffile.imread(film))
    count = len(ready)
    found = [
        Contender(LIMIT, batch, count, through_onnx(engines.network, ready, batch))
        for batch in BATCHES[LIMIT]
    ]
    found += [
        Contender(SIDE_BY_SIDE, batch, count, side_by_side(engines.network, ready, batch))
        for batch in BATCHES[SIDE_BY_SIDE]
    ]
    found += [
        Contender(LOCAL, 0, count, lambda: through(film, engines.local)),
        Contender(TRITON, 0, count, lambda: through(film, engines.triton)),
    ]
    found += [
        Contender(KERAS, batch, count, through_keras(engines.keras_network, ready, batch))
        for batch in BATCHES[KERAS]
    ]
    return found + _peers(ready[: times * peer_frames(size_px)], engines)


def peer_frames(size_px: int) -> int:
    """Frames of this size that Deep-STORM is timed on, 0 where they are too large."""
    return next((count for most, count in PEER_FRAMES.items() if size_px <= most), 0)


def _peers(few: NDArray[np.float32], engines: Engines) -> list[Contender]:
    """Deep-STORM on a few frames, in the batches that these fill."""
    found = []
    for batch in (batch for batch in BATCHES[PEER_ONNX] if batch <= len(few)):
        found += [
            Contender(PEER_ONNX, batch, len(few), through_onnx(engines.peer, few, batch)),
            Contender(PEER_KERAS, batch, len(few), through_keras(engines.keras_peer, few, batch)),
        ]
    return found
