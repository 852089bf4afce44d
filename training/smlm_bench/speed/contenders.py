"""The contenders on one size of frames: bare networks, the engines, and Deep-STORM."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.machine import memory_bytes
from smlm_bench.speed.bare import keras_ways, layers_ways, onnx_ways, openvino_ways
from smlm_bench.speed.engines import LOCAL, PEER, TRITON, reconstruct_film
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.settings import DEFAULTS, frames_per_chunk
from smlm_training.scoring.inference import normalized

if TYPE_CHECKING:
    import keras

BARE_CHUNKS = 4
"""Length of the frames in memory, in requests of the usual size."""

PEER_FRAMES = 4
"""Most frames for Deep-STORM, which is fifty times slower."""

_PEER_BYTES_A_PIXEL = 45_000
"""Memory that Deep-STORM takes for a frame's pixel: 11 GiB for a frame of 512 x 512 pixels."""

_PEER_SHARE = 0.1
"""Share of the machine's memory for Deep-STORM in one engine; up to seven are open at a time."""


@dataclass(frozen=True)
class Contender:
    """Work on ``frames`` frames; ``way`` is empty where the engine cuts the film itself."""

    network: str
    engine: str
    way: str
    frames: int
    work: Callable[[], object]


@dataclass(frozen=True)
class OpenNetwork:
    """A network in each form: without its normalisation, its layers, engines for its ensemble."""

    model: str
    bare: Path
    layers: Path
    local: Engine
    triton: Engine


@dataclass(frozen=True)
class Opened:
    """All that is timed, opened once for all sizes; networks are by their names."""

    networks: Mapping[str, OpenNetwork]
    peer: Path
    keras_peer: keras.Model


def contenders(film: Path, size_px: int, opened: Opened) -> list[Contender]:
    """List the contenders on a film: engines read its file, the others frames in memory.

    Parameters
    ----------
    film : Path
        The film's file.
    size_px : int
        Edge of its frames.
    opened : Opened
        Opened networks and engines.

    Returns
    -------
    list of Contender
        In the order in which they take turns.
    """
    frames_adu = tifffile.imread(film)
    held = BARE_CHUNKS * frames_per_chunk(DEFAULTS, size_px, size_px)
    ready = normalized(frames_adu[:held])
    listed: list[Contender] = []
    for name, network in opened.networks.items():
        works = itertools.chain(
            onnx_ways(network.bare, ready),
            openvino_ways(network.bare, ready),
            layers_ways(network.layers, ready),
        )
        listed += [Contender(name, engine, way, len(ready), work) for engine, way, work in works]
        listed += film_contenders(name, network, film, len(frames_adu))
    return listed + _peers(ready[: peer_frames(size_px)], opened)


def film_contenders(
    name: str, network: OpenNetwork, film: Path, frames: int
) -> tuple[Contender, Contender]:
    """List the two engines that reconstruct a whole film."""
    local, triton = (
        functools.partial(reconstruct_film, film, engine, network.model)
        for engine in (network.local, network.triton)
    )
    return (
        Contender(name, LOCAL, "", frames, local),
        Contender(name, TRITON, "", frames, triton),
    )


def peer_frames(size_px: int) -> int:
    """Number of frames of this size for Deep-STORM, 0 where one does not fit into the memory."""
    fitting = _PEER_SHARE * memory_bytes() / (_PEER_BYTES_A_PIXEL * size_px**2)
    return min(PEER_FRAMES, int(fitting))


def _peers(few: NDArray[np.float32], opened: Opened) -> list[Contender]:
    """List Deep-STORM on a few frames."""
    if not len(few):
        return []
    works = itertools.chain(
        onnx_ways(opened.peer, few),
        openvino_ways(opened.peer, few),
        keras_ways(opened.keras_peer, few),
    )
    return [Contender(PEER, engine, way, len(few), work) for engine, way, work in works]
