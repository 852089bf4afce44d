"""Figures of a load: throughput, latencies, errors, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from smlm_bench.load.clients import Answer


@dataclass(frozen=True)
class Latencies:
    """Good answers of one kind: their number and latencies in ms, None without an answer."""

    name: str
    answers: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    slowest_ms: float | None


@dataclass(frozen=True)
class Summary:
    """The figures of one run.

    Rates count good answers over ``seconds``, from the first request to the last
    answer. ``errors`` are counted by kind. The shared memory is that of embedded
    servers, after the first requests and at the end, None of other servers.
    """

    seconds: float
    requests_per_s: float
    frames_per_s: float
    megapixels_per_s: float
    errors: dict[str, int]
    latencies: tuple[Latencies, ...]
    shared_memory_before_bytes: int | None
    shared_memory_after_bytes: int | None

    @property
    def shared_memory_growth_bytes(self) -> int | None:
        """Growth of the shared memory under load."""
        before, after = self.shared_memory_before_bytes, self.shared_memory_after_bytes
        return None if before is None or after is None else after - before


def summarise(
    answers: Sequence[Answer], seconds: float, memory: tuple[int | None, int | None]
) -> Summary:
    """Summarise all answers, those of each size, and of each server if there are several."""
    good = [answer for answer in answers if answer.error is None]
    groups = {"all": good}
    for size_px in sorted({answer.size_px for answer in answers}):
        groups[f"{size_px} px"] = [answer for answer in good if answer.size_px == size_px]
    addresses = sorted({answer.address for answer in answers})
    if len(addresses) > 1:
        for number, address in enumerate(addresses, 1):
            groups[f"server {number}"] = [each for each in good if each.address == address]
    frames = sum(answer.frames for answer in good)
    pixels = sum(answer.frames * answer.size_px**2 for answer in good)
    return Summary(
        seconds,
        len(good) / seconds,
        frames / seconds,
        pixels / seconds / 1e6,
        dict(Counter(answer.error for answer in answers if answer.error is not None)),
        tuple(_latencies(name, group) for name, group in groups.items()),
        *memory,
    )


def summary_table(summary: Summary, title: str) -> Table:
    """One row for each kind of answer, for the terminal."""
    table = Table(title=title, title_justify="left")
    for heading in ("answers to", "count", "p50 ms", "p95 ms", "p99 ms", "slowest ms"):
        table.add_column(heading, justify="left" if heading == "answers to" else "right")
    for each in summary.latencies:
        numbers = (each.p50_ms, each.p95_ms, each.p99_ms, each.slowest_ms)
        cells = ("-" if number is None else f"{number:.1f}" for number in numbers)
        table.add_row(each.name, f"{each.answers:,}", *cells)
    return table


def summary_lines(summary: Summary) -> list[str]:
    """Rates, errors and memory, a line each."""
    errors = ", ".join(f"{count} x {kind}" for kind, count in summary.errors.items()) or "none"
    growth = summary.shared_memory_growth_bytes
    memory = (
        "shared memory: not known of servers that were not started here"
        if growth is None
        else f"shared memory: {_mib(summary.shared_memory_before_bytes or 0)} after the first "
        f"requests, {growth / 2**20:+.1f} MiB at the end"
    )
    return [
        f"{summary.requests_per_s:.2f} requests/s, {summary.frames_per_s:.1f} frames/s, "
        f"{summary.megapixels_per_s:.2f} megapixels/s in {summary.seconds:.1f} s",
        f"errors: {errors}",
        memory,
    ]


def _latencies(name: str, answers: Sequence[Answer]) -> Latencies:
    if not answers:
        return Latencies(name, 0, None, None, None, None)
    times_ms = 1e3 * np.array([answer.seconds for answer in answers])
    p50, p95, p99 = (float(value) for value in np.percentile(times_ms, (50, 95, 99)))
    return Latencies(name, len(answers), p50, p95, p99, float(times_ms.max()))


def _mib(count_bytes: int) -> str:
    return f"{count_bytes / 2**20:.1f} MiB"
