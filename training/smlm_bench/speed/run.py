"""One run of ``recon-bench speed``, part by part."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import keras

from smlm_bench.speed.bare import NO_BF16, write_bare, write_layers
from smlm_bench.speed.contenders import (
    Opened,
    OpenNetwork,
    contenders,
    film_contenders,
    peer_frames,
)
from smlm_bench.speed.engines import CLIENT, KERAS, LOCAL, ONNX, PEER, titled
from smlm_bench.speed.films import FRAMES_MIN, write_film
from smlm_bench.speed.measure import (
    FilmTime,
    Line,
    Speed,
    lines_against_frames,
    lines_against_pixels,
    seconds_in_turn,
    timed,
)
from smlm_bench.speed.messages import MessageSize, message_sizes
from smlm_bench.speed.networks import NetworkSpeed, network_speeds, reference_frames
from smlm_bench.speed.peak_memory import Peak, peak_of, server_peak
from smlm_pipeline import contract
from smlm_pipeline.compute.processor import has_bf16
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import local_engine, server_engine
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.delivery.export import export
from smlm_training.networks import NETWORKS

TIMED = (contract.UNET.name, contract.UNET_FAST.name)
"""The networks that are timed in every engine."""

_LENGTHS = (1, 2, 4)
"""Lengths of the films whose seconds are drawn, in multiples of the shortest."""


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
    """All figures of one run; ``left_out`` says what was not timed, and why."""

    left_out: list[str] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    messages: list[MessageSize] = field(default_factory=list)
    films: list[FilmTime] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)
    networks: list[NetworkSpeed] = field(default_factory=list)


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
    figures = Figures(_left_out(plan))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if plan.memory:  # first, while this process holds little memory
            tell("memory")
            figures.peaks = _peaks(plan, folder)
            keep(figures)
        tell("bytes of requests and answers")
        sizes_px = [size for size in plan.sizes_px if size <= contract.TILE_SIZES_PX[-1]]
        figures.messages = list(message_sizes(TIMED, sizes_px))
        with _opened(folder) as opened:
            for size_px in plan.sizes_px:
                frames = _frames(plan, size_px)
                tell(f"{frames} frames of {size_px} x {size_px} pixels")
                film = write_film(folder / f"{size_px}.tif", frames, size_px)
                figures.speeds += timed(contenders(film, size_px, opened), size_px, plan.rounds)
                figures.lines = lines_against_pixels(figures.speeds)
                keep(figures)
            tell("seconds against frames")
            figures.films = _films(plan, opened, folder)
            figures.lines += lines_against_frames(figures.films)
            keep(figures)
    if plan.networks:
        tell("networks")
        figures.networks = network_speeds(plan.rounds)
    return figures


def _left_out(plan: Plan) -> list[str]:
    left_out = [] if has_bf16() else [NO_BF16]
    left_out += [
        f"Deep-STORM was not timed on {size} x {size} pixels: its layers do not fit into the memory"
        for size in plan.sizes_px
        if not peer_frames(size)
    ]
    return left_out


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[Opened]:
    """Open the networks, a server with all of them, and Deep-STORM."""
    repository = find_model_repository()
    peer, peer_file = _write_peer(folder)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(repository, private=True))
        networks = {}
        for name in TIMED:
            model = contract.ensemble_of(name).name
            networks[name] = OpenNetwork(
                model,
                write_bare(network_file(repository, name), folder / f"{name}.onnx"),
                write_layers(network_file(repository, name), folder / f"layers-{name}.onnx"),
                stack.enter_context(local_engine(repository, model)),
                stack.enter_context(server_engine(server.servers, model)),
            )
        yield Opened(networks, write_bare(peer_file, folder / "bare-peer.onnx"), peer)


def _films(plan: Plan, opened: Opened, folder: Path) -> list[FilmTime]:
    """Time films of several lengths, of the smallest frames, in the engines that read films."""
    size_px = min(plan.sizes_px)
    shortest = max(_frames(plan, size_px) // _LENGTHS[-1], FRAMES_MIN)
    films = []
    for times in _LENGTHS:
        frames = times * shortest
        film = write_film(folder / f"length-{times}.tif", frames, size_px)
        listed = [
            contender
            for name, network in opened.networks.items()
            for contender in film_contenders(name, network, film, frames)
        ]
        for each, seconds in zip(listed, seconds_in_turn(listed, plan.rounds), strict=True):
            median_s = statistics.median(seconds)
            films.append(FilmTime(each.network, each.engine, size_px, frames, median_s))
    return films


def _frames(plan: Plan, size_px: int) -> int:
    return max(round(plan.megapixels * 1e6 / size_px**2), FRAMES_MIN)


def _write_peer(folder: Path) -> tuple[keras.Model, Path]:
    """Deep-STORM, untrained: speed does not depend on the weights."""
    peer = NETWORKS[PEER]()
    frames_adu, levels_adu = reference_frames()
    few = frames_adu[:1, :16, :16], levels_adu[:1]
    return peer, export(peer, folder / "peer.onnx", *few).path


def _peaks(plan: Plan, folder: Path) -> list[Peak]:
    """Peaks of the engines on films of two lengths, which show whether memory grows with the film.

    Each size has a server of its own, whose peak includes both of its films. Deep-STORM gets one
    frame.
    """
    network = network_file(find_model_repository(), contract.UNET.name)
    peer = _write_peer(folder)[1]
    film, peaks = folder / "memory.tif", []
    for size_px in dict.fromkeys((min(plan.sizes_px), max(plan.sizes_px))):
        with EmbeddedServer(find_model_repository(), private=True) as server:
            for times in (1, 4):
                frames = times * _frames(plan, size_px)
                write_film(film, frames, size_px)
                for name, opened in ((LOCAL, str(network)), (CLIENT, server.address)):
                    peaks.append(peak_of(name, film, size_px, frames, opened))
            peaks.append(server_peak(server.pid, size_px, frames))
    for size_px in filter(peer_frames, plan.sizes_px):
        write_film(film, 1, size_px)
        names = (titled(PEER, engine) for engine in (ONNX, KERAS))
        peaks += [peak_of(name, film, size_px, 1, str(peer)) for name in names]
    return peaks
