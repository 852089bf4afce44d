"""Contenders timed in turn, and lines through their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smlm_bench.speed.engines import LIMITS, PEER_KERAS

if TYPE_CHECKING:
    from smlm_bench.speed.contenders import Contender

AGAINST_PIXELS, AGAINST_FRAMES = "ms a frame against pixels", "seconds against frames"


@dataclass(frozen=True)
class Speed:
    """One contender on one size: median, fastest and slowest round, in ms a frame.

    ``share_of_limit`` is the median of the fastest one of ``LIMITS`` over this one's,
    ``times_peer`` the fastest Keras Deep-STORM's, None where that was not timed.
    """

    name: str
    batch: int
    size_px: int
    frames: int
    ms_per_frame: float
    fastest_ms: float
    slowest_ms: float
    share_of_limit: float
    times_peer: float | None


@dataclass(frozen=True)
class FilmTime:
    """The median time of a film of so many frames; ``batch`` is the fastest of its size."""

    name: str
    batch: int
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
    medians = [statistics.median(each) for each in ms]
    limit_ms = _fastest(contenders, medians, LIMITS)
    peer_ms = _fastest(contenders, medians, (PEER_KERAS,))
    return [
        Speed(
            contender.name,
            contender.batch,
            size_px,
            contender.frames,
            median,
            min(each),
            max(each),
            (limit_ms or median) / median,
            None if peer_ms is None else peer_ms / median,
        )
        for contender, each, median in zip(contenders, ms, medians, strict=True)
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


def line(name: str, against: str, x: Sequence[float], values: Sequence[float]) -> Line:
    """The line of the least relative errors through some points, at least two of them.

    Times reach over two orders of magnitude; absolute errors would be those of the largest alone.
    """
    slope, offset = np.polyfit(x, values, 1, w=1 / np.maximum(values, 1e-9))
    left = np.asarray(values) - (slope * np.asarray(x) + offset)
    spread = float(np.sum((np.asarray(values) - np.mean(values)) ** 2))
    r2 = 1 - float(left @ left) / spread if spread else 1.0
    return Line(name, against, float(slope), float(offset), r2)


def best_batches(speeds: Sequence[Speed]) -> list[Speed]:
    """Of each name and size the fastest batch, in the order of the first."""
    best: dict[tuple[str, int], Speed] = {}
    for each in speeds:
        key = each.name, each.size_px
        if key not in best or each.ms_per_frame < best[key].ms_per_frame:
            best[key] = each
    return list(best.values())


def lines_against_pixels(speeds: Sequence[Speed]) -> list[Line]:
    """Ms a frame against its pixels, for what was timed on three sizes or more; the best batch."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in best_batches(speeds):
        points.setdefault(each.name, []).append((each.size_px**2, each.ms_per_frame))
    return _lines(AGAINST_PIXELS, points)


def lines_against_frames(films: Sequence[FilmTime]) -> list[Line]:
    """Seconds of a film against its frames."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in films:
        points.setdefault(each.name, []).append((each.frames, each.seconds))
    return _lines(AGAINST_FRAMES, points)


def _lines(against: str, points: Mapping[str, Sequence[tuple[float, float]]]) -> list[Line]:
    return [
        line(name, against, *zip(*each, strict=True))
        for name, each in points.items()
        if len(each) > 2  # through two points, every line is exact
    ]


def _fastest(
    contenders: Sequence[Contender], medians: Sequence[float], names: Sequence[str]
) -> float | None:
    times = [median for each, median in zip(contenders, medians, strict=True) if each.name in names]
    return min(times, default=None)
