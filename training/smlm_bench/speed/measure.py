"""Contenders timed in turn, and lines through their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smlm_bench.speed.engines import BARE, ONNX, PEER, titled

if TYPE_CHECKING:
    from smlm_bench.speed.contenders import Contender

AGAINST_PIXELS, AGAINST_FRAMES = "ms a frame against pixels", "seconds against frames"


@dataclass(frozen=True)
class Spread:
    """Median and range over all rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, smallest and largest of some values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Speed:
    """One contender on one size.

    ``share_of_bare`` is its speed over that of the fastest of ``engines.BARE`` with the same
    network, ``times_peer`` its speed over Deep-STORM's in ONNX Runtime, both round by round and
    None where that was not timed.
    """

    network: str
    engine: str
    way: str
    size_px: int
    frames: int
    frames_per_s: float
    ms_per_frame: Spread
    share_of_bare: Spread | None
    times_peer: Spread | None


@dataclass(frozen=True)
class FilmTime:
    """The median time of a film of so many frames."""

    network: str
    engine: str
    size_px: int
    frames: int
    seconds: float


@dataclass(frozen=True)
class Line:
    """Value = ``offset`` + ``slope`` x; ``r2`` is the share that it explains.

    ``against`` is ``AGAINST_PIXELS`` or ``AGAINST_FRAMES``, which also says the units.
    """

    name: str
    against: str
    slope: float
    offset: float
    r2: float


def timed(contenders: Sequence[Contender], size_px: int, rounds: int) -> list[Speed]:
    """All contenders in turn, so many times over, after one run each that warms caches."""
    times_s = seconds_in_turn(contenders, rounds)
    ms = [
        [1e3 * each / contender.frames for each in seconds]
        for contender, seconds in zip(contenders, times_s, strict=True)
    ]
    peer_ms = _fastest(contenders, ms, PEER, (ONNX,))
    return [
        Speed(
            contender.network,
            contender.engine,
            contender.way,
            size_px,
            contender.frames,
            1e3 / statistics.median(each),
            Spread.of(each),
            _ratio(_fastest(contenders, ms, contender.network, BARE), each),
            _ratio(peer_ms, each),
        )
        for contender, each in zip(contenders, ms, strict=True)
    ]


def seconds_in_turn(contenders: Sequence[Contender], rounds: int) -> list[list[float]]:
    """Seconds of each in each round, after one run each that warms caches."""
    times_s: list[list[float]] = [[] for _ in contenders]
    for contender in contenders:
        contender.work()
    for _ in range(rounds):
        for contender, seconds in zip(contenders, times_s, strict=True):
            started = time.perf_counter()
            contender.work()
            seconds.append(time.perf_counter() - started)
    return times_s


def _fastest(
    contenders: Sequence[Contender],
    ms: Sequence[Sequence[float]],
    network: str,
    engines: Sequence[str],
) -> Sequence[float] | None:
    """Times of the contender with this network and one of the engines whose median is least."""
    times = [
        each
        for contender, each in zip(contenders, ms, strict=True)
        if contender.network == network and contender.engine in engines
    ]
    return min(times, key=statistics.median, default=None)


def _ratio(times: Sequence[float] | None, others: Sequence[float]) -> Spread | None:
    if times is None:
        return None
    return Spread.of([each / other for each, other in zip(times, others, strict=True)])


def line(name: str, against: str, x: Sequence[float], values: Sequence[float]) -> Line:
    """The line of the least relative errors through some points, at least two of them.

    Times reach over two orders of magnitude; absolute errors would be those of the largest alone.
    """
    slope, offset = np.polyfit(x, values, 1, w=1 / np.maximum(values, 1e-9))
    left = np.asarray(values) - (slope * np.asarray(x) + offset)
    spread = float(np.sum((np.asarray(values) - np.mean(values)) ** 2))
    r2 = 1 - float(left @ left) / spread if spread else 1.0
    return Line(name, against, float(slope), float(offset), r2)


def best_ways(speeds: Sequence[Speed]) -> list[Speed]:
    """Of each network, engine and size the fastest way, in the order of the first."""
    best: dict[tuple[str, str, int], Speed] = {}
    for each in speeds:
        key = each.network, each.engine, each.size_px
        if key not in best or each.frames_per_s > best[key].frames_per_s:
            best[key] = each
    return list(best.values())


def lines_against_pixels(speeds: Sequence[Speed]) -> list[Line]:
    """Ms a frame against its pixels, for what was timed on three sizes or more; the best way."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in best_ways(speeds):
        point = each.size_px**2, each.ms_per_frame.median
        points.setdefault(titled(each.network, each.engine), []).append(point)
    return _lines(AGAINST_PIXELS, points)


def lines_against_frames(films: Sequence[FilmTime]) -> list[Line]:
    """Seconds of a film against its frames."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in films:
        name = titled(each.network, each.engine)
        points.setdefault(name, []).append((each.frames, each.seconds))
    return _lines(AGAINST_FRAMES, points)


def _lines(against: str, points: Mapping[str, Sequence[tuple[float, float]]]) -> list[Line]:
    return [
        line(name, against, *zip(*each, strict=True))
        for name, each in points.items()
        if len(each) > 2  # through two points, every line is exact
    ]
