"""``make bench``: raw megabytes a second through the client alone, and what limits it.

A stub server in another process answers at once, so nothing waits for a network. The film
lies in the page cache. What comes back is a fine image a request, of four bytes for each of
zoom x zoom fine pixels: at zoom 8 and 64 frames a request that is twice as much as the
frames, so the smaller zooms show what the frames alone cost.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.speed.client_memory import sparse_film
from smlm_bench.speed.stub_server import stub_server
from smlm_pipeline.compute.onnx_network import available_cpus
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.requests import request_of
from smlm_pipeline.settings import Settings

CASES = ((8, 32), (8, 64), (4, 64), (1, 64))
"""Zoom and frames of a request; the first are the client's defaults."""

_TIMES = 5
"""Times that each stage alone is run; the fastest counts."""


@dataclass(frozen=True)
class Rate:
    """Megabytes (10^6) of raw frames a second: of the whole path, and of each stage alone."""

    size_px: int
    zoom: int
    chunk_frames: int
    raw_mb_per_s: float
    answered_mb_per_s: float
    stages_mb_per_s: dict[str, float]


def main(
    size_px: Annotated[int, typer.Option(help="Edge of the frames.")] = 256,
    megabytes: Annotated[float, typer.Option(help="Size of the film.")] = 2000.0,
    repeats: Annotated[int, typer.Option(min=1, help="Runs; the fastest counts.")] = 3,
    output: Annotated[Path | None, typer.Option("-o", help="JSON file to write.")] = None,
) -> None:
    """Measure, print, and write the figures as JSON if asked to."""
    frames = max(round(megabytes * 1e6 / (2 * size_px**2 * 64)), 1) * 64  # whole requests
    typer.echo(f"{available_cpus()} CPU threads, shared with the stub server")
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        film = sparse_film(Path(folder) / "film.tif", frames, size_px)
        for zoom, chunk_frames in CASES:
            settings = Settings(zoom=zoom, chunk_frames=chunk_frames)
            with (
                open_film(film) as stack,
                stub_server(chunk_frames) as address,
                TritonTransport(Servers.parse(address)) as transport,
            ):
                rates.append(_rate(stack, transport, settings, repeats))
            _tell(rates[-1])
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps([asdict(rate) for rate in rates], indent=2) + "\n")


def _rate(stack: Film, transport: TritonTransport, settings: Settings, repeats: int) -> Rate:
    fastest_s = min(reconstruct(stack, transport, settings).elapsed_s for _ in range(repeats))
    chunks = plan_run(stack, settings, memory_limit_bytes(settings)).chunks
    film_mb = 2e-6 * stack.frame_count * stack.height_px * stack.width_px
    zoom, core_y, core_x = settings.zoom, chunks[0].tile.y, chunks[0].tile.x
    height, width = image_shape(zoom, core_y.core_size, core_x.core_size)
    return Rate(
        size_px=stack.width_px,
        zoom=zoom,
        chunk_frames=chunks[0].frame_count,
        raw_mb_per_s=film_mb / fastest_s,
        answered_mb_per_s=4e-6 * height * width * len(chunks) / fastest_s,
        stages_mb_per_s=_stages(stack, transport, settings),
    )


def _stages(stack: Film, transport: TritonTransport, settings: Settings) -> dict[str, float]:
    """Each stage of one request alone, in this thread."""
    chunk = plan_run(stack, settings, memory_limit_bytes(settings)).chunks[0]
    seen = survey(stack, settings)
    frames_adu = stack.read(chunk.first_frame, chunk.last_frame)
    request = request_of(frames_adu, chunk, seen, settings.zoom)
    answer = transport.sum_chunk(request)
    accumulators = iter(
        [Accumulator(stack.height_px, stack.width_px, zoom=settings.zoom) for _ in range(_TIMES)]
    )
    stages: dict[str, Callable[[], object]] = {
        "read": lambda: stack.read(chunk.first_frame, chunk.last_frame),
        "cut": lambda: request_of(frames_adu, chunk, seen, settings.zoom),
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


def _tell(rate: Rate) -> None:
    stages = ", ".join(f"{name} {each:,.0f}" for name, each in rate.stages_mb_per_s.items())
    typer.echo(
        f"{rate.size_px} x {rate.size_px} pixels, zoom {rate.zoom}, {rate.chunk_frames} frames a "
        f"request: {rate.raw_mb_per_s:,.0f} MB/s of raw frames, {rate.answered_mb_per_s:,.0f} MB/s "
        f"of sums\n  alone, MB/s of raw frames: {stages}"
    )


if __name__ == "__main__":
    typer.run(main)
