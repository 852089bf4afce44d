"""One client and 1, 2 or 4 real servers whose network waits: throughput, shares, changes."""

from __future__ import annotations

import bisect
import contextlib
import math
import re
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.gpu.films import film_of
from smlm_bench.scaling.stand_in import NamedServers, repository_that_waits
from smlm_pipeline import contract
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.channel import LOOK_UP_LEAST_MS
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import Reconstruction, reconstruct
from smlm_pipeline.settings import BRIGHTNESS_OFF, REFINE_OFF, Settings

IN_FLIGHT = 4
"""Concurrent requests to each server."""

FRAME_PX, CHUNK_FRAMES = 64, 16
"""Edge of the frames, and frames of a request."""

_COUNT = rf'^nv_inference_count{{model="{contract.UNET.name}".*}} (\d+)$'


@dataclass(frozen=True)
class Scaling:
    """What a number of servers did together.

    ``requests_per_s`` is the rate between the first answer and the last; ``linear`` its share of
    as many times the rate of one server, ``ideal`` its share of what the waiting alone allows.
    ``added_ms`` is what a request costs its server beside the waiting, and ``shares`` are those of
    the requests that each server got.
    """

    servers: int
    requests: int
    requests_per_s: float
    linear: float
    ideal: float
    added_ms: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Drain:
    """A run of which one server was stopped half way: its rate before and after.

    ``failures`` are requests that were sent again, ``same_bits`` whether the image is that of one
    server.
    """

    servers: int
    requests_per_s_before: float
    requests_per_s_after: float
    failures: int
    same_bits: bool


@dataclass(frozen=True)
class Join:
    """A run that one of the servers joined: it came under their name after a third of the answers.

    ``first_request_s`` is the time from then to its first request, and ``share`` its share of all
    requests from its first on, of ``servers``. The rates are those before it came and after its
    first request; ``failures`` and ``same_bits`` as in `Drain`.
    """

    servers: int
    first_request_s: float
    share: float
    requests_per_s_before: float
    requests_per_s_after: float
    failures: int
    same_bits: bool


@dataclass(frozen=True)
class Measured:
    """All that was measured; the last two are None if there is never more than one server."""

    scaling: list[Scaling]
    join: Join | None
    drain: Drain | None


@dataclass
class _Clock:
    """Events that note when answers came, and call a function after some of them."""

    then: Callable[[], None] = lambda: None
    after: int = 0
    times_s: list[float] = field(default_factory=list)

    def progress(self, frames: float) -> None:
        """Note an answer."""
        if frames:
            self.times_s.append(time.perf_counter())
            if len(self.times_s) == self.after:
                self.then()

    def stage(self, name: str, frames: int | None = None) -> None:
        """Ignore a stage."""

    def note(self, text: str) -> None:
        """Ignore a note."""

    def warning(self, text: str) -> None:
        """Ignore a warning."""

    def rate(self, first: int = 0, last: int | None = None) -> float:
        """Answers a second, from one of them to another."""
        times_s = self.times_s[first:last]
        return (len(times_s) - 1) / (times_s[-1] - times_s[0])


def measure(
    counts: Sequence[int], *, wait_s: float, requests: int, tell: Callable[[str], None]
) -> Measured:
    """Reconstruct one film with each number of servers; one of the most joins, then stops.

    Parameters
    ----------
    counts : sequence of int
        Numbers of servers, the first of which is the measure of the others.
    wait_s : float
        Time that a network takes for a request.
    requests : int
        Requests of the film for each server: the film is longer for more of them.
    tell : callable
        Receives a line before each step.

    Returns
    -------
    Measured
        A `Scaling` for each number of servers, the run that one joined, the one that lost one.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        repository = repository_that_waits(folder, wait_s)
        tell(f"starting {max(counts)} servers")
        servers = [stack.enter_context(EmbeddedServer(repository)) for _ in range(max(counts))]
        _run(_film(folder, len(servers) * IN_FLIGHT), servers, _Clock())  # allocates their memory
        figures: list[Scaling] = []
        for count in counts:
            tell(f"{count} server{'s' * (count > 1)}")
            film = _film(folder, count * requests)
            base = figures[0].requests_per_s / figures[0].servers if figures else None
            figures.append(_scaling(film, servers[:count], wait_s, base))
        if len(servers) == 1:
            return Measured(figures, None, None)
        film = _film(folder, len(servers) * requests)
        expected = _run(film, servers[:1], _Clock()).image
        tell(f"{len(servers)} servers, of which one joins late")
        join = _join(film, servers, expected)
        tell(f"{len(servers)} servers, of which one stops")
        return Measured(figures, join, _drain(film, servers, expected))


def _film(folder: Path, requests: int) -> Path:
    path = folder / f"{requests}.tif"
    frames_adu = film_of(FRAME_PX, requests * CHUNK_FRAMES)
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    return path


def _run(
    film: Path,
    servers: Sequence[EmbeddedServer],
    clock: _Clock,
    *,
    listed: Servers | None = None,
) -> Reconstruction:
    """Reconstruct by a list of all servers, or by what is ``listed`` in its place."""
    addresses = listed or Servers(tuple(_address(server) for server in servers))
    settings = Settings(
        refine=REFINE_OFF,
        brightness=BRIGHTNESS_OFF,
        chunk_frames=CHUNK_FRAMES,
        in_flight=IN_FLIGHT * len(servers),
    )
    with open_film(film) as opened:
        return reconstruct(opened, addresses, settings, events=clock)


def _address(server: EmbeddedServer) -> Address:
    (address,) = server.servers.addresses
    return address


def _scaling(
    film: Path, servers: Sequence[EmbeddedServer], wait_s: float, base: float | None
) -> Scaling:
    clock, before = _Clock(), [_requests(server) for server in servers]
    result = _run(film, servers, clock)
    done = [_requests(server) - earlier for server, earlier in zip(servers, before, strict=True)]
    count, rate = len(servers), clock.rate()
    return Scaling(
        servers=count,
        requests=result.chunk_count,
        requests_per_s=rate,
        linear=1.0 if base is None else rate / (count * base),
        ideal=rate * wait_s / count,
        added_ms=1000 * (count / rate - wait_s),
        shares=tuple(each / sum(done) for each in done),
    )


def _join(film: Path, servers: Sequence[EmbeddedServer], expected: NDArray[np.float32]) -> Join:
    """The last server joins the name of the others when a third of the answers have come."""
    named = NamedServers(present=[_address(server) for server in servers[:-1]])
    joins = _Joins(servers, named)
    waiting = threading.Thread(target=joins.wait)
    clock = _Clock(waiting.start, _chunks(film) // 3)
    try:
        result = _run(film, servers, clock, listed=named)
    finally:
        joins.ended.set()
        if waiting.ident is not None:
            waiting.join()
    done = [
        _requests(server) - earlier for server, earlier in zip(servers, joins.done, strict=True)
    ]
    if math.isinf(joins.first_request_s):
        raise SettingError(
            f"the film ended before a request reached the server that joined; clients look a name "
            f"up every {LOOK_UP_LEAST_MS / 1000:.0f} s: expected more --requests"
        )
    first = bisect.bisect(clock.times_s, joins.first_request_s)
    return Join(
        servers=len(servers),
        first_request_s=joins.first_request_s - joins.joined_s,
        share=done[-1] / sum(done),
        requests_per_s_before=clock.rate(0, clock.after),
        requests_per_s_after=clock.rate(first),
        failures=result.failures,
        same_bits=bool(np.array_equal(result.image, expected)),
    )


class _Joins:
    """Lets the last server join a name, and notes when it gets its first request."""

    def __init__(self, servers: Sequence[EmbeddedServer], named: NamedServers) -> None:
        self._servers, self._named = servers, named
        self.ended = threading.Event()
        self.joined_s = self.first_request_s = math.inf
        self.done = [0] * len(servers)

    def wait(self) -> None:
        """Join, and return after the first request, or when the run has ended."""
        before, self.joined_s = _requests(self._servers[-1]), time.perf_counter()
        self._named.present.append(_address(self._servers[-1]))
        while not self.ended.wait(0.05):
            if _requests(self._servers[-1]) > before:
                self.first_request_s = time.perf_counter()
                self.done = [_requests(server) for server in self._servers]
                return


def _drain(film: Path, servers: Sequence[EmbeddedServer], expected: NDArray[np.float32]) -> Drain:
    """The last server stops, as a pod does, when half of the answers have come."""
    stopping = threading.Thread(target=servers[-1].stop)
    half = int(IN_FLIGHT * len(servers) + _chunks(film)) // 2
    clock = _Clock(stopping.start, half)
    try:
        result = _run(film, servers, clock)
    finally:
        if stopping.ident is not None:
            stopping.join()
    return Drain(
        servers=len(servers),
        requests_per_s_before=clock.rate(0, half),
        requests_per_s_after=clock.rate(half),
        failures=result.failures,
        same_bits=bool(np.array_equal(result.image, expected)),
    )


def _chunks(film: Path) -> int:
    with open_film(film) as opened:
        return -(-opened.frame_count // CHUNK_FRAMES)


def _requests(server: EmbeddedServer) -> int:
    """Requests that a server's network has computed, by its metrics."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - ours
        text = answer.read().decode()
    found = re.search(_COUNT, text, re.MULTILINE)
    return int(found[1]) if found else 0
