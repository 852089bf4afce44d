"""The contenders on one size of frames: the bare network, the engines, Keras, and Deep-STORM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import tifffile
from numpy.typing import NDArray

from smlm_bench.speed.engines import (
    KERAS,
    LIMIT,
    LOCAL,
    OPENVINO_BF16,
    OPENVINO_F32,
    PEER_KERAS,
    PEER_ONNX,
    SIDE_BY_SIDE,
    TRITON,
    reconstruct_film,
)
from smlm_pipeline import contract
from smlm_pipeline.compute.network import Network
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.engines.transport import Transport
from smlm_training.scoring.inference import normalized
from smlm_training.simulation.presets import preset_film

if TYPE_CHECKING:
    import keras


def through_onnx(network: Path, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """Call ONNX Runtime alone, on all threads, with ``batch`` frames at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(
        str(network), options, providers=["CPUExecutionProvider"]
    )

    def work() -> None:
        for first in range(0, len(ready), batch):
            session.run(None, {contract.NORMALIZED.name: ready[first : first + batch]})

    return work


def side_by_side(network: Network, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """Call a network with each frame in one thread, and ``batch`` frames at a time."""

    def work() -> None:
        for first in range(0, len(ready), batch):
            network.detect(ready[first : first + batch])

    return work


def bare_networks(network: Path) -> dict[str, Network]:
    """Open a network in each engine on a CPU, by the contender's name."""
    return {
        SIDE_BY_SIDE: OnnxNetwork(network, intra_op_threads=0),
        OPENVINO_F32: open_network(network, precision="f32"),
        OPENVINO_BF16: open_network(network, precision="bf16"),
    }


def through_keras(
    model: keras.Model, ready: NDArray[np.float32], batch: int
) -> Callable[[], object]:
    """Call TensorFlow's graph with ``batch`` frames at a time."""
    frames = np.ascontiguousarray(ready.transpose(0, 2, 3, 1))

    def work() -> None:
        for first in range(0, len(frames), batch):
            model.predict_on_batch(frames[first : first + batch])

    return work


BATCHES = {LIMIT: (1, 4, 16), SIDE_BY_SIDE: (32,), KERAS: (1, 16), PEER_ONNX: (1, 4)}
"""Frames at a time for contenders that take frames from memory."""


PEER_FRAMES = {128: 4, 256: 1}
"""Frames for Deep-STORM, which is fifty times slower, by the largest size; a frame of 512 pixels
takes some 11 GiB, which did not fit beside the others in 24 GiB."""


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
    """Networks and engines, opened once for all sizes; ``bare`` is by the contender's name."""

    network: Path
    bare: Mapping[str, Network]
    peer: Path
    keras_network: keras.Model
    keras_peer: keras.Model
    local: Transport
    triton: Transport


def write_film(path: Path, frames: int, size_px: int) -> Path:
    """Write a film of microtubules whose frames repeat after ``_SIMULATED_FRAMES``."""
    made = preset_film(
        "microtubules", seed=5, frames=_SIMULATED_FRAMES, height_px=size_px, width_px=size_px
    ).frames_adu
    repeated = np.resize(made, (frames, size_px, size_px))
    tifffile.imwrite(path, repeated, photometric="minisblack")
    return path


def contenders(film: Path, size_px: int, engines: Engines, times: int = 1) -> list[Contender]:
    """List the contenders on a film: engines read its file, the others frames in memory.

    Parameters
    ----------
    film : Path
        The film's file.
    size_px : int
        Edge of its frames.
    engines : Engines
        Opened networks and engines.
    times : int
        Multiple of Deep-STORM's usual number of frames.

    Returns
    -------
    list of Contender
        In the order in which they take turns.
    """
    ready = normalized(tifffile.imread(film))
    count = len(ready)
    listed = [
        Contender(LIMIT, batch, count, through_onnx(engines.network, ready, batch))
        for batch in BATCHES[LIMIT]
    ]
    listed += [
        Contender(name, batch, count, side_by_side(network, ready, batch))
        for name, network in engines.bare.items()
        for batch in BATCHES[SIDE_BY_SIDE]
    ]
    listed += [
        Contender(LOCAL, 0, count, lambda: reconstruct_film(film, engines.local)),
        Contender(TRITON, 0, count, lambda: reconstruct_film(film, engines.triton)),
    ]
    listed += [
        Contender(KERAS, batch, count, through_keras(engines.keras_network, ready, batch))
        for batch in BATCHES[KERAS]
    ]
    return listed + _peers(ready[: times * peer_frames(size_px)], engines)


def peer_frames(size_px: int) -> int:
    """Number of frames of this size for Deep-STORM, 0 where they are too large."""
    return next((count for most, count in PEER_FRAMES.items() if size_px <= most), 0)


def _peers(few: NDArray[np.float32], engines: Engines) -> list[Contender]:
    """List Deep-STORM on a few frames, in the batches that these fill."""
    peers = []
    for batch in (batch for batch in BATCHES[PEER_ONNX] if batch <= len(few)):
        peers += [
            Contender(PEER_ONNX, batch, len(few), through_onnx(engines.peer, few, batch)),
            Contender(PEER_KERAS, batch, len(few), through_keras(engines.keras_peer, few, batch)),
        ]
    return peers
