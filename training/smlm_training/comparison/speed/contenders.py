"""What is timed on one size of frames: the bare network, the engines, Keras, and Deep-STORM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.transport import Transport
from smlm_training.comparison.speed.bare_network import side_by_side, through_keras, through_onnx
from smlm_training.comparison.speed.client_path import through
from smlm_training.comparison.speed.names import (
    KERAS,
    LIMIT,
    LOCAL,
    PEER_KERAS,
    PEER_ONNX,
    SIDE_BY_SIDE,
    TRITON,
)
from smlm_training.scoring.inference import normalized
from smlm_training.simulation.presets import preset_film

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
