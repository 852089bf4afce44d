"""One run of ``recon-bench speed``, part by part."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smlm_bench.networks.loading import keras_network
from smlm_bench.speed.contenders import Engines, bare_networks, contenders, peer_frames, write_film
from smlm_bench.speed.engines import CLIENT, KERAS, LIMIT, LOCAL, PEER_KERAS, PEER_ONNX
from smlm_bench.speed.measure import (
    FilmTime,
    Line,
    Speed,
    best_batches,
    lines_against_frames,
    lines_against_pixels,
    seconds_in_turn,
    timed,
)
from smlm_bench.speed.networks import NetworkSpeed, network_speeds, reference_frames
from smlm_bench.speed.peak_memory import Peak, peak_of, server_peak
from smlm_bench.speed.stages import served_s, stage_costs
from smlm_pipeline import contract
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.delivery.export import export
from smlm_training.networks import NETWORKS

FRAMES_MIN = 16
_LENGTHS = (1, 2, 4)
"""Lengths of the films whose seconds are drawn, in multiples of the shortest."""
_MEMORY_FRAMES = 16
"""Length of the film for the bare networks' memory; Deep-STORM gets one frame."""


@dataclass(frozen=True)
class Plan:
    """Edges of frames, megapixels of each film, rounds, and the parts that may be left out."""

    sizes_px: tuple[int, ...]
    megapixels: float
    rounds: int
    networks: bool
    memory: bool


@dataclass
class Figures:
    """All figures of one run; ``stages`` and ``served`` are ms a frame by size."""

    speeds: list[Speed] = field(default_factory=list)
    films: list[FilmTime] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)
    networks: list[NetworkSpeed] = field(default_factory=list)
    stages: dict[int, dict[str, float]] = field(default_factory=dict)
    served: dict[int, dict[str, float]] = field(default_factory=dict)


def measure(plan: Plan, tell: Callable[[str], None], keep: Callable[[Figures], None]) -> Figures:
    """Measure everything of the plan.

    Parameters
    ----------
    plan : Plan
        Sizes, lengths, rounds and parts.
    tell : callable
        Receives a line before each part.
    keep : callable
        Receives the figures after each part, so that a run that ends early is not lost.

    Returns
    -------
    Figures
        All figures.
    """
    figures = Figures()
    with _opened() as (folder, engines, server):
        if plan.memory:  # first, while this process holds little memory
            tell("memory")
            figures.peaks = _client_peaks(plan, engines, folder) + _bare_peaks(
                plan, engines, folder
            )
            keep(figures)
        for size_px in plan.sizes_px:
            frames = _frames(plan, size_px)
            tell(f"{frames} frames of {size_px} x {size_px} pixels")
            film = write_film(folder / f"{size_px}.tif", frames, size_px)
            listed = contenders(film, size_px, engines)
            before = served_s(server)
            figures.speeds += timed(listed, size_px, plan.rounds)
            runs = plan.rounds + 1  # each contender has run once before it was timed
            figures.served[size_px] = {
                name: 1e3 * (seconds - before[name]) / (runs * frames)
                for name, seconds in served_s(server).items()
            }
            figures.stages[size_px] = stage_costs(film, engines.network, folder)
            figures.lines = lines_against_pixels(figures.speeds)
            keep(figures)
        tell("seconds against frames")
        figures.films = _films(plan, figures.speeds, engines, folder)
        figures.lines += lines_against_frames(figures.films)
        keep(figures)
    if plan.networks:
        tell("networks")
        figures.networks = network_speeds(plan.rounds)
    return figures


@contextlib.contextmanager
def _opened() -> Iterator[tuple[Path, Engines, EmbeddedServer]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = network_file(find_model_repository(), contract.UNET.name)
        repository = copy_of_ensemble(contract.RECONSTRUCTION.name, folder)
        peer = NETWORKS["deep-storm"]()  # untrained: speed does not depend on the weights
        peer_file = export(peer, folder / "peer.onnx", reference_frames()[:1, :, :16, :16]).path
        with EmbeddedServer(repository) as server, TritonTransport(server.servers) as triton:
            local = LocalTransport(network)
            keras_unet = keras_network("unet", network)
            bare = bare_networks(network)
            yield folder, Engines(network, bare, peer_file, keras_unet, peer, local, triton), server


def _films(plan: Plan, speeds: Sequence[Speed], engines: Engines, folder: Path) -> list[FilmTime]:
    """Time films of several lengths, of the smallest frames, in the batches that are best there."""
    size_px = min(plan.sizes_px)
    best = {each.name: each.batch for each in best_batches(speeds) if each.size_px == size_px}
    shortest = max(_frames(plan, size_px) // _LENGTHS[-1], FRAMES_MIN)
    films = []
    for times in _LENGTHS:
        film = write_film(folder / f"length-{times}.tif", times * shortest, size_px)
        listed = contenders(film, size_px, engines, times)
        listed = [each for each in listed if each.batch == best[each.name]]
        for each, seconds in zip(listed, seconds_in_turn(listed, plan.rounds), strict=True):
            median_s = statistics.median(seconds)
            films.append(FilmTime(each.name, each.batch, size_px, each.frames, median_s))
    return films


def _frames(plan: Plan, size_px: int) -> int:
    return max(round(plan.megapixels * 1e6 / size_px**2), FRAMES_MIN)


def _client_peaks(plan: Plan, engines: Engines, folder: Path) -> list[Peak]:
    """Peaks on films of two lengths, which show whether memory grows with the film.

    Each size has a server of its own, whose peak includes both of its films.
    """
    peaks = []
    for size_px in dict.fromkeys((min(plan.sizes_px), max(plan.sizes_px))):
        with EmbeddedServer(folder / "model_repository") as server:
            for times in (1, 4):
                frames = times * _frames(plan, size_px)
                film = write_film(folder / "memory.tif", frames, size_px)
                for name, opened in ((LOCAL, str(engines.network)), (CLIENT, server.address)):
                    peaks.append(peak_of(name, film, size_px, frames, opened))
            peaks.append(server_peak(server.pid, size_px, frames))
    return peaks


def _bare_peaks(plan: Plan, engines: Engines, folder: Path) -> list[Peak]:
    """Peaks of the bare networks, one frame at a time, in each size."""
    bare = (
        (LIMIT, engines.network, _MEMORY_FRAMES),
        (KERAS, engines.network, _MEMORY_FRAMES),
        (PEER_ONNX, engines.peer, 1),
        (PEER_KERAS, engines.peer, 1),
    )
    peaks = []
    for size_px in plan.sizes_px:
        for name, network, frames in bare:
            if name in (LIMIT, KERAS) or peer_frames(size_px):
                film = write_film(folder / "memory.tif", frames, size_px)
                peaks.append(peak_of(name, film, size_px, frames, str(network), batch=1))
    return peaks
