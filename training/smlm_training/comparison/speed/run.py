"""One run of all that ``recon-bench speed`` measures."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.local import LocalTransport
from smlm_pipeline.repository import find_model_repository, network_file
from smlm_pipeline.server import EmbeddedServer
from smlm_pipeline.triton import TritonTransport
from smlm_training.comparison.ensemble_copy import copy_of_ensemble
from smlm_training.comparison.methods.network_files import keras_network
from smlm_training.comparison.speed.contenders import (
    LIMIT,
    LOCAL,
    TRITON,
    Contender,
    Engines,
    contenders,
    write_film,
)
from smlm_training.comparison.speed.measure import (
    Line,
    Speed,
    line,
    lines_against_pixels,
    seconds_of,
    timed,
)
from smlm_training.comparison.speed.memory import Peak, client_peak
from smlm_training.comparison.speed.networks import (
    NetworkSpeed,
    network_speeds,
    reference_frames,
)
from smlm_training.comparison.speed.stages import served_s, stage_costs
from smlm_training.delivery.export import export
from smlm_training.networks import NETWORKS

FRAMES_MIN = 16
_LENGTHS = (1, 2, 4)
"""Films of so many times the shortest, against which the seconds of a film are drawn."""


@dataclass(frozen=True)
class Plan:
    """What is measured: edges of frames, megapixels of each film, rounds, and what else."""

    sizes_px: tuple[int, ...]
    megapixels: float
    rounds: int
    networks: bool
    memory: bool


@dataclass
class Measured:
    """All figures of one run; ``stages`` and ``served`` are ms a frame by size."""

    speeds: list[Speed] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)
    networks: list[NetworkSpeed] = field(default_factory=list)
    stages: dict[int, dict[str, float]] = field(default_factory=dict)
    served: dict[int, dict[str, float]] = field(default_factory=dict)


def measure(plan: Plan, tell: Callable[[str], None]) -> Measured:
    """Measure everything of the plan; ``tell`` is given a line before each part."""
    found = Measured()
    with tempfile.TemporaryDirectory() as folder, _opened(Path(folder)) as (engines, server):
        films = {}
        for size_px in plan.sizes_px:
            frames = max(round(plan.megapixels * 1e6 / size_px**2), FRAMES_MIN)
            tell(f"{frames} frames of {size_px} x {size_px} pixels")
            films[size_px] = write_film(Path(folder) / f"{size_px}.tif", frames, size_px)
            listed = contenders(films[size_px], size_px, engines)
            before = served_s(server)
            found.speeds += timed(listed, size_px, plan.rounds)
            runs = plan.rounds + 1  # each contender has run once before it was timed
            found.served[size_px] = {
                name: 1e3 * (seconds - before[name]) / (runs * frames)
                for name, seconds in served_s(server).items()
            }
            found.stages[size_px] = stage_costs(films[size_px], engines.network, Path(folder))
        found.lines = lines_against_pixels(found.speeds)
        tell("seconds against frames")
        found.lines += _against_frames(plan, engines, Path(folder))
        if plan.memory:
            tell("memory")
            found.peaks = _peaks(plan, server.address, Path(folder))
    if plan.networks:
        tell("networks")
        found.networks = network_speeds(plan.rounds)
    return found


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[tuple[Engines, EmbeddedServer]]:
    network = network_file(find_model_repository(), contract.UNET.name)
    repository = copy_of_ensemble(contract.RECONSTRUCTION.name, folder)
    peer = NETWORKS["deep-storm"]()  # untrained: speed does not depend on the weights
    peer_file = export(peer, folder / "peer.onnx", reference_frames()[:1, :, :16, :16]).path
    with EmbeddedServer(repository) as server, TritonTransport(server.address) as triton:
        local = LocalTransport(network)
        keras_unet = keras_network("unet", network)
        yield Engines(network, peer_file, keras_unet, peer, local, triton), server


def _against_frames(plan: Plan, engines: Engines, folder: Path) -> list[Line]:
    """Seconds of a film against its frames, on the smallest frames."""
    size_px = min(plan.sizes_px)
    shortest = max(round(plan.megapixels * 1e6 / size_px**2) // _LENGTHS[-1], FRAMES_MIN)
    seconds: dict[str, list[float]] = {LIMIT: [], LOCAL: [], TRITON: []}
    for times in _LENGTHS:
        film = write_film(folder / f"length-{times}.tif", times * shortest, size_px)
        for contender in contenders(film, size_px, engines):
            if contender.name in seconds and contender.batch in (0, 4):
                seconds[contender.name].append(_median_s(contender, plan.rounds))
    frames = [float(times * shortest) for times in _LENGTHS]
    return [line(name, "seconds against frames", frames, each) for name, each in seconds.items()]


def _median_s(contender: Contender, rounds: int) -> float:
    times = sorted(seconds_of(contender) for _ in range(rounds))
    return times[len(times) // 2]


def _peaks(plan: Plan, address: str, folder: Path) -> list[Peak]:
    """Of films of two lengths, which shows whether memory grows with the film."""
    peaks = []
    for size_px in (min(plan.sizes_px), max(plan.sizes_px)):
        frames = max(round(plan.megapixels * 1e6 / size_px**2), FRAMES_MIN)
        for times in (1, 4):
            film = write_film(folder / "memory.tif", times * frames, size_px)
            for name, server in ((LOCAL, None), (TRITON, address)):
                peaks.append(client_peak(name, film, size_px, times * frames, server))
    return peaks
