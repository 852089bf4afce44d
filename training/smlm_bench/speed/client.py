"""Megabytes of raw frames per second through the client alone, and the rate of each stage.

A stub server in another process answers at once, and the film is in the page cache, so neither
network nor disk is measured. An answer has sums in a tenth of the SR pixels, as of dense films: at
zoom 8 it is 26 bytes for each camera pixel. The smaller zooms show the cost of the frames alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smlm_bench.speed.client_memory import sparse_film
from smlm_bench.speed.stub_server import stub_server, stub_sums
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.kept_memory import keep_freed_memory
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.requests import request_of
from smlm_pipeline.settings import BRIGHTNESS_OFF, REFINE_OFF, Settings, frames_per_chunk

ZOOMS = (8, 4, 1)
"""The client's default first."""

_TIMES = 5
"""Runs of each stage alone, of which the fastest counts."""


@dataclass(frozen=True)
class Rate:
    """Megabytes (10^6) of raw frames per second: of the whole path, and of each stage alone."""

    size_px: int
    zoom: int
    chunk_frames: int
    raw_mb_per_s: float
    answered_mb_per_s: float
    stages_mb_per_s: dict[str, float]


def rates(size_px: int, megabytes: float, repeats: int) -> Iterator[Rate]:
    """Measure the client at each of ``ZOOMS``.

    Parameters
    ----------
    size_px : int
        Edge of the frames.
    megabytes : float
        Size of the film, rounded to whole requests.
    repeats : int
        Runs of each case, of which the fastest counts.

    Yields
    ------
    Rate
        Rates of the next case.
    """
    chunk_frames = frames_per_chunk(Settings(), size_px, size_px)
    keep_freed_memory()  # as the command does
    frames = max(round(megabytes * 1e6 / (2 * size_px**2 * chunk_frames)), 1) * chunk_frames
    with tempfile.TemporaryDirectory() as folder:
        path = sparse_film(Path(folder) / "film.tif", frames, size_px)
        for zoom in ZOOMS:
            settings = Settings(zoom=zoom, refine=REFINE_OFF, brightness=BRIGHTNESS_OFF)
            with (
                open_film(path) as film,
                stub_server(chunk_frames) as address,
                TritonTransport(Servers.parse(address)) as transport,
            ):
                yield _rate(film, transport, settings, repeats)


def _rate(film: Film, transport: TritonTransport, settings: Settings, repeats: int) -> Rate:
    fastest_s = min(reconstruct(film, transport, settings).elapsed_s for _ in range(repeats))
    chunks = plan_run(film, settings, memory_limit_bytes(settings)).chunks
    film_mb = 2e-6 * film.frame_count * film.height_px * film.width_px
    answered = (encode(stub_sums(chunk.tile.window(settings.zoom))) for chunk in chunks)
    answered_mb = 1e-6 * sum(step.nbytes + weight.nbytes for step, weight in answered)
    return Rate(
        size_px=film.width_px,
        zoom=settings.zoom,
        chunk_frames=chunks[0].frame_count,
        raw_mb_per_s=film_mb / fastest_s,
        answered_mb_per_s=answered_mb / fastest_s,
        stages_mb_per_s=_stages(film, transport, settings),
    )


def _stages(film: Film, transport: TritonTransport, settings: Settings) -> dict[str, float]:
    """Each stage of one request alone, in this thread."""
    chunk = plan_run(film, settings, memory_limit_bytes(settings)).chunks[0]
    conditioning = survey(film, settings).conditioning
    read_adu = film.read(chunk.first_frame, chunk.last_frame)
    frames_adu, levels_adu = conditioning.apply(read_adu, chunk.first_frame)
    request = request_of(frames_adu, chunk, levels_adu, settings.zoom)
    answer = transport.sum_chunk(request)
    accumulators = iter(
        [Accumulator(film.height_px, film.width_px, zoom=settings.zoom) for _ in range(_TIMES)]
    )
    stages: dict[str, Callable[[], object]] = {
        "read": lambda: film.read(chunk.first_frame, chunk.last_frame),
        "prepare": lambda: conditioning.apply(read_adu, chunk.first_frame),
        "cut": lambda: request_of(frames_adu, chunk, levels_adu, settings.zoom),
        "send, wait, receive": lambda: transport.sum_chunk(request),
        "merge": lambda: next(accumulators).add(chunk, answer),
    }
    return {name: 1e-6 * frames_adu.nbytes / _fastest_s(work) for name, work in stages.items()}


def _fastest_s(work: Callable[[], object]) -> float:
    times_s = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started)
    return min(times_s)


def in_words(rate: Rate) -> str:
    """Two lines about a case, for the terminal."""
    stages = ", ".join(f"{name} {each:,.0f}" for name, each in rate.stages_mb_per_s.items())
    return (
        f"{rate.size_px} x {rate.size_px} pixels, zoom {rate.zoom}, {rate.chunk_frames} frames a "
        f"request: {rate.raw_mb_per_s:,.0f} MB/s of raw frames, {rate.answered_mb_per_s:,.0f} MB/s "
        f"of sums\n  alone, MB/s of raw frames: {stages}"
    )
