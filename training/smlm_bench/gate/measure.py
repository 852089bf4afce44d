"""Latency and throughput of ways to a server that answers at once, and whether they see shapes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from smlm_bench.gate.proxies import Way, ways
from smlm_bench.speed.stub_server import stub_server
from smlm_pipeline import contract
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import InferenceError

ZOOM, ROUNDS, IN_FLIGHT = 8, 5, 8


@dataclass(frozen=True)
class WayFigures:
    """What a way costs.

    The latency is that of one request after another, the rate that of eight at once. ``cpu_ms`` is
    the processor time of the process between, for each request.
    ``checks_shapes`` is whether the way refuses frames that are too small.
    """

    name: str
    median_ms: float
    p95_ms: float
    requests_per_s: float
    cpu_ms: float
    checks_shapes: bool


def measure(
    size_px: int, frames: int, requests: int, *, tell: Callable[[str], None]
) -> list[WayFigures]:
    """Measure all ways in turn, in several rounds, so that a busy moment hits all alike.

    Parameters
    ----------
    size_px : int
        Edge of the frames.
    frames : int
        Frames of a request.
    requests : int
        Requests of each way in each round, one after another and then eight at once.
    tell : callable
        Receives a line before each round.
    """
    request = _request(size_px, frames)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(stub_server(frames))
        found = stack.enter_context(ways(server, folder))
        transports = [stack.enter_context(TritonTransport(way.servers)) for way in found]
        latencies_ms: list[list[float]] = [[] for _ in found]
        rates: list[list[float]] = [[] for _ in found]
        for transport in transports:
            _latencies_ms(transport, request, 3)
        before_s = [way.cpu_s() for way in found]
        for number in range(ROUNDS):
            tell(f"round {number + 1} of {ROUNDS}")
            for index, transport in enumerate(transports):
                latencies_ms[index] += _latencies_ms(transport, request, requests)
                rates[index].append(_rate(transport, request, requests))
        return [
            WayFigures(
                way.name,
                median(latencies_ms[index]),
                float(np.percentile(latencies_ms[index], 95)),
                median(rates[index]),
                1e3 * (way.cpu_s() - before_s[index]) / (2 * ROUNDS * requests),
                _checks_shapes(way),
            )
            for index, way in enumerate(found)
        ]


def _request(size_px: int, frames: int) -> Request:
    frames_adu = np.random.default_rng(0).integers(90, 400, (frames, size_px, size_px), np.uint16)
    levels_adu = np.array([[100.0, 200.0]] * frames, np.float32)
    return Request("bench", frames_adu, levels_adu, Window(ZOOM, 0, 0, size_px, size_px))


def _latencies_ms(transport: TritonTransport, request: Request, count: int) -> list[float]:
    found = []
    for _ in range(count):
        started_s = time.perf_counter()
        transport.sum_chunk(request)
        found.append(1e3 * (time.perf_counter() - started_s))
    return found


def _rate(transport: TritonTransport, request: Request, count: int) -> float:
    started_s = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for _ in pool.map(lambda _: transport.sum_chunk(request), range(count)):
            pass
    return count / (time.perf_counter() - started_s)


def _checks_shapes(way: Way) -> bool:
    request = _request(contract.MIN_FRAME_PX - contract.SIZE_MULTIPLE_PX, 1)
    with TritonTransport(way.servers) as transport:
        try:
            transport.sum_chunk(request)
        except InferenceError as error:
            return "expected edges of at least" in str(error)
        return False
