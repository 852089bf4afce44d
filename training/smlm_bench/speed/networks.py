"""Milliseconds a frame of every network through ONNX Runtime, in one run.

All networks are timed in turn on the same frames with the same threads, several
times over, so that a noisy machine is noisy for all of them; what counts is the
ratio to Deep-STORM. Speed does not depend on the weights, so they are untrained.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import keras
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.table import Table

from smlm_bench.speed.engines import PEER
from smlm_bench.speed.films import USUAL, simulated
from smlm_pipeline.compute.network import Network
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.film.survey import prepared
from smlm_training.delivery.export import export
from smlm_training.networks import NETWORKS

SIZE_PX = 64
FRAMES = 4
ROUND_S = 0.4

Key = TypeVar("Key")

Prepared: TypeAlias = tuple[NDArray[np.uint16], NDArray[np.float32]]
"""Frames (N, H, W) and their levels (N, 2), in ADU."""


@dataclass(frozen=True)
class NetworkSpeed:
    """Median, fastest and slowest round of one network; ``times_peer`` is of the medians."""

    network: str
    parameters: int
    ms_per_frame: float
    fastest_ms: float
    slowest_ms: float
    times_peer: float


def network_speeds(rounds: int) -> list[NetworkSpeed]:
    """Every network of ``networks.NETWORKS``, in so many rounds, of which the median counts."""
    with tempfile.TemporaryDirectory() as folder:
        return _timed(Path(folder), reference_frames(), rounds)


def machine() -> str:
    """Describe processor, runtime and frames of the times."""
    return (
        f"{available_cpus()} CPU threads ({platform.machine()}), ONNX Runtime "
        f"{onnxruntime.__version__} in FP32, {FRAMES} frames of {SIZE_PX} x {SIZE_PX}"
    )


def reference_frames() -> Prepared:
    """``FRAMES`` frames of ``SIZE_PX`` x ``SIZE_PX`` pixels, and their levels."""
    frames_adu, levels_adu = prepared(simulated(USUAL, FRAMES, SIZE_PX))
    return frames_adu[:FRAMES], levels_adu[:FRAMES]


def _timed(folder: Path, frames: Prepared, rounds: int) -> list[NetworkSpeed]:
    parameters, sessions = {}, {}
    for name, build in NETWORKS.items():
        keras.utils.set_random_seed(1)
        file = folder / f"{name}.onnx"
        parameters[name] = export(build(), file, frames[0][:1], frames[1][:1]).parameters
        sessions[name] = OnnxNetwork(file, intra_op_threads=0)
    times_ms = timed_in_turn(sessions, frames, rounds)
    medians = {name: float(np.median(each)) for name, each in times_ms.items()}
    return [
        NetworkSpeed(
            name,
            parameters[name],
            medians[name],
            min(each),
            max(each),
            medians[PEER] / medians[name],
        )
        for name, each in times_ms.items()
    ]


def timed_in_turn(
    networks: Mapping[Key, Network], frames: Prepared, rounds: int
) -> dict[Key, list[float]]:
    """Milliseconds a frame of each network in each round; all of them take turns."""
    times_ms: dict[Key, list[float]] = {key: [] for key in networks}
    for _ in range(rounds):
        for key, network in networks.items():
            times_ms[key].append(_ms_per_frame(network, frames))
    return times_ms


def _ms_per_frame(network: Network, frames: Prepared) -> float:
    """Mean over ``ROUND_S`` seconds, after one run that the cache belonged to another network."""
    network.detect(*frames)
    started, runs = time.perf_counter(), 0
    while time.perf_counter() - started < ROUND_S:
        network.detect(*frames)
        runs += 1
    return (time.perf_counter() - started) * 1e3 / (runs * FRAMES)


def networks_table(speeds: list[NetworkSpeed]) -> Table:
    """One row for each network, for the terminal."""
    table = Table(title=machine(), title_justify="left")
    for heading in ("network", "parameters", "ms a frame", "fastest to slowest", f"x {PEER}"):
        table.add_column(heading, justify="left" if heading == "network" else "right", no_wrap=True)
    for each in speeds:
        table.add_row(
            each.network,
            f"{each.parameters:,}",
            f"{each.ms_per_frame:.2f}",
            f"{each.fastest_ms:.2f} to {each.slowest_ms:.2f}",
            f"{each.times_peer:.1f}",
        )
    return table
