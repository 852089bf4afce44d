"""What a running server makes of films: frames a second, bytes to its host, and whether load shows.

It asks any Triton server of this project, so the same measurement runs against the image on a
GPU and against the embedded server in a test.
"""

from __future__ import annotations

import re
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline import contract, device_metrics
from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import open_stack
from smlm_pipeline.transport import Request
from smlm_pipeline.triton import TritonTransport
from smlm_training.scoring.inference import film_levels, film_mean
from smlm_training.simulation.presets import preset_film

SIMULATED_FRAMES = 32
"""Frames that are simulated; longer films repeat them."""

LOAD_SHARE = 0.05
"""Share of an image's sum that rounding may move under load; wrong memory moves all of it."""


@dataclass(frozen=True)
class Server:
    """Where a server answers, and where it tells its metrics."""

    address: str
    metrics_url: str

    def counted(self, metric: str, models: Sequence[str]) -> float:
        """The sum of a metric over models."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:  # noqa: S310 - ours
            text = answer.read().decode()
        found = re.findall(rf'^{metric}\{{model="(\w+)"[^}}]*\}} (\S+)$', text, re.MULTILINE)
        return sum(float(value) for model, value in found if model in models)


@dataclass(frozen=True)
class ServerSpeed:
    """One ensemble on one size of frames, in requests of ``batch`` frames.

    ``network_per_s`` counts the network's own time, ``server_per_s`` requests that lie ready in
    the client's memory, ``end_to_end_per_s`` a film from its file to the image in memory.
    """

    model: str
    size_px: int
    batch: int
    network_per_s: float
    server_per_s: float
    end_to_end_per_s: float
    bytes_to_host_per_frame: float


def measure(
    server: Server, model: str, *, size_px: int, batch: int, frames: int, in_flight: int
) -> ServerSpeed:
    """Frames a second of one kind of film.

    Parameters
    ----------
    server : Server
        Who is asked.
    model : str
        The ensemble.
    size_px : int
        Edge of the frames: one tile.
    batch : int
        Frames of a request.
    frames : int
        Length of the film, rounded up to whole requests.
    in_flight : int
        Requests under way at once.
    """
    film_adu = _film(size_px, max(-(-frames // batch), 2) * batch)
    names = [step.name for step in contract.STEPS[model]]
    requests = _requests(film_adu, batch)
    settings = Settings(model=model, chunk_frames=batch, in_flight=in_flight, tile_px=512)
    with (
        tempfile.TemporaryDirectory() as folder,
        TritonTransport(server.address, model=model) as transport,
    ):
        path = Path(folder) / "film.tif"
        tifffile.imwrite(path, film_adu, photometric="minisblack")
        transport.sum_chunk(requests[0])  # the first request of a shape is slower
        before = _counters(server, names)
        started = time.perf_counter()
        with ThreadPoolExecutor(in_flight) as pool:
            summed = sum(each.frame_count for each in pool.map(transport.sum_chunk, requests))
        elapsed_s = time.perf_counter() - started
        busy_s, copied_bytes = (
            now - then for now, then in zip(_counters(server, names), before, strict=True)
        )
        with open_stack(path) as stack:
            whole = reconstruct(stack, transport, settings)
    return ServerSpeed(
        model=model,
        size_px=size_px,
        batch=batch,
        network_per_s=summed / busy_s,
        server_per_s=summed / elapsed_s,
        end_to_end_per_s=whole.frames_per_s,
        bytes_to_host_per_frame=copied_bytes / summed,
    )


def answers_that_differ_under_load(
    server: Server, model: str, *, size_px: int, batch: int, requests: int
) -> int:
    """How many of many requests at once are answered otherwise than alone: 0 if all is well.

    A CUDA pool that runs full has given wrong images as success; this is what would show it.
    On a GPU another batch may round otherwise, so that a detection falls into the next fine
    pixel; images count as different where more than ``LOAD_SHARE`` of their sum moved.
    """
    request = _requests(_film(size_px, batch), batch)[0]
    with TritonTransport(server.address, model=model) as transport:
        alone = transport.sum_chunk(request).image.astype(np.int64)

        def differs(_index: int) -> bool:
            image = transport.sum_chunk(request).image
            return bool(np.abs(image - alone).sum() > LOAD_SHARE * alone.sum())

        with ThreadPoolExecutor(requests) as pool:
            return sum(pool.map(differs, range(requests)))


def _counters(server: Server, names: Sequence[str]) -> tuple[float, float]:
    """Seconds that the network has computed, and bytes that the summation has copied."""
    _, network, summation = names
    infer_us = server.counted("nv_inference_compute_infer_duration_us", [network])
    return infer_us / 1e6, server.counted(device_metrics.BYTES_TO_HOST, [summation])


def _film(size_px: int, frames: int) -> NDArray[np.uint16]:
    made = preset_film(
        "microtubules", seed=5, frames=SIMULATED_FRAMES, height_px=size_px, width_px=size_px
    ).frames_adu
    repeated: NDArray[np.uint16] = np.resize(made, (frames, size_px, size_px))
    return repeated


def _requests(film_adu: NDArray[np.uint16], batch: int) -> list[Request]:
    count, height, width = film_adu.shape
    levels = np.broadcast_to(film_levels(film_adu[:SIMULATED_FRAMES]), (batch, 2))
    mean = film_mean(film_adu[:SIMULATED_FRAMES])
    window = np.array([Settings.zoom, 0, 0, height, width], np.int32)
    return [
        Request(f"frames from {first}", film_adu[first : first + batch], levels, mean, window)
        for first in range(0, count, batch)
    ]
