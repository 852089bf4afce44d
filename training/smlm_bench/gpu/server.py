"""Measurements of a running server: frames per second, and bytes to its host.

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

from smlm_bench.gpu.films import film_of, requests_of
from smlm_pipeline import contract
from smlm_pipeline.engines.transport import Request, Transport
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import ServerError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.serving import metrics
from smlm_pipeline.settings import REFINE_OFF, Settings

REQUESTS_ALONE = 4
"""Requests, one after the other, by which the network's own time is measured."""

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Server:
    """Addresses of a server and of its metrics."""

    address: str
    metrics_url: str

    def counted(self, metric: str, models: Sequence[str] = ()) -> float:
        """The sum of a metric over models, or over all that has it where none is named.

        Raises
        ------
        ServerError
            If the metrics do not answer.
        """
        try:
            with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:  # noqa: S310 - ours
                text = answer.read().decode()
        except OSError as error:
            raise ServerError(
                f"{self.metrics_url} does not answer ({error}); expected the server's metrics: "
                "look whether it still runs, and at its log"
            ) from error
        return sum(
            value
            for labels, value in samples(text, metric)
            if not models or labels.get("model") in models
        )


def samples(text: str, metric: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each line of a metric, in Prometheus' text format.

    Servers sort the labels, and one with a GPU puts ``gpu_uuid`` in front of ``model``.
    """
    return [
        (dict(_LABEL.findall(labels)), float(value))
        for name, labels, value in _SAMPLE.findall(text)
        if name == metric
    ]


@dataclass(frozen=True)
class ServerSpeed:
    """One ensemble on one size of frames, in requests of ``batch`` frames.

    ``precision`` is that of the network's plan. ``network_per_s`` counts the network's own time
    with one request under way, ``server_per_s`` requests prepared in the client's memory,
    ``end_to_end_per_s`` a film from its file to the image in memory.
    """

    model: str
    precision: str
    size_px: int
    batch: int
    network_per_s: float
    server_per_s: float
    end_to_end_per_s: float
    bytes_to_host_per_frame: float


def measure(
    server: Server,
    model: str,
    *,
    precision: str,
    size_px: int,
    batch: int,
    frames: int,
    in_flight: int,
) -> ServerSpeed:
    """Frames a second of one kind of film.

    Parameters
    ----------
    server : Server
        Who is asked.
    model : str
        The ensemble.
    precision : str
        Precision of its network, for the report.
    size_px : int
        Edge of the frames: one tile.
    batch : int
        Frames of a request.
    frames : int
        Length of the film, rounded up to whole requests.
    in_flight : int
        Requests under way at once.

    Raises
    ------
    ServerError
        If the server's metrics state no time of the network.
    """
    film_adu = film_of(size_px, max(-(-frames // batch), 2) * batch)
    requests = requests_of(film_adu, batch)
    settings = Settings(
        model=model,
        refine=REFINE_OFF,
        chunk_frames=batch,
        in_flight=in_flight,
        tile_px=contract.TILE_SIZES_PX[-1],
    )
    with TritonTransport(Servers.parse(server.address), model=model) as transport:
        transport.sum_chunk(requests[0])  # the first request of a shape is slower
        network_per_s = _network_per_s(server, transport, model, requests[:REQUESTS_ALONE])
        copied_before = _bytes_to_host(server, model)
        server_per_s = _server_per_s(transport, requests, in_flight)
        copied_bytes = _bytes_to_host(server, model) - copied_before
        end_to_end_per_s = _end_to_end_per_s(film_adu, transport, settings)
    return ServerSpeed(
        model=model,
        precision=precision,
        size_px=size_px,
        batch=batch,
        network_per_s=network_per_s,
        server_per_s=server_per_s,
        end_to_end_per_s=end_to_end_per_s,
        bytes_to_host_per_frame=copied_bytes / len(film_adu),
    )


def _network_per_s(
    server: Server, transport: Transport, model: str, requests: Sequence[Request]
) -> float:
    """Frames a second of the network alone, with one request under way at a time."""
    metric, network = (
        "nv_inference_compute_infer_duration_us",
        contract.ENSEMBLES[model].network.name,
    )
    before_us = server.counted(metric, [network])
    summed = sum(transport.sum_chunk(each).frame_count for each in requests)
    busy_us = server.counted(metric, [network]) - before_us
    if busy_us <= 0:
        raise ServerError(
            f"{server.metrics_url} states no time of {network!r} for {summed} frames; expected "
            f"{metric} to grow: do not switch off the server's metrics"
        )
    return 1e6 * summed / busy_us


def _server_per_s(transport: Transport, requests: Sequence[Request], in_flight: int) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(in_flight) as pool:
        summed = sum(each.frame_count for each in pool.map(transport.sum_chunk, requests))
    return summed / (time.perf_counter() - started)


def _bytes_to_host(server: Server, model: str) -> float:
    return server.counted(metrics.BYTES_TO_HOST, [contract.ENSEMBLES[model].answer.summation.name])


def _end_to_end_per_s(
    film_adu: NDArray[np.uint16], transport: Transport, settings: Settings
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.tif"
        tifffile.imwrite(path, film_adu, photometric="minisblack")
        with open_film(path) as stack:
            return reconstruct(stack, transport, settings).frames_per_s
