"""Sends chunks, a bounded number at a time, and repeats requests that may succeed later."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from smlm_pipeline.engines.transport import ChunkAnswer, Request, Transport
from smlm_pipeline.errors import (
    ReconError,
    ServerFullError,
    SwappedAnswerError,
    TransientServerError,
)
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.concurrency import ConcurrencyLimit

FIRST_PAUSE_S = 0.2
"""Longest pause before the second attempt; it doubles with each further one."""

FULL_PATIENCE_S = 600.0
"""Longest time for which a server that is full is asked again without counting attempts."""

LONGEST_PAUSE_S = 20.0
"""Longest pause of all: the doubling ends here."""


def run(
    chunks: Iterable[Chunk],
    prepare: Callable[[Chunk], Request],
    transport: Transport,
    limit: ConcurrencyLimit,
    attempts: int,
    failed: Callable[[Chunk, ReconError], None],
) -> Generator[tuple[Chunk, ChunkAnswer], None, None]:
    """Send all chunks and yield their answers as they arrive.

    At most ``limit.limit`` requests are prepared and not yet answered, so memory
    does not grow with the film.

    Parameters
    ----------
    chunks : iterable of Chunk
        In the order in which they are sent.
    prepare : callable
        Makes the request of a chunk.
    transport : Transport
        The engine.
    limit : ConcurrencyLimit
        The number of concurrent requests; it learns from each answer and failure.
    attempts : int
        How often a request is sent before it has failed for good; refusals of a full server do
        not count.
    failed : callable
        Gets each chunk that failed for good, with its error; it raises to end the run, and
        then no request in progress is waited for.

    Yields
    ------
    tuple of Chunk and ChunkAnswer
        Each chunk that was answered, once, in any order.

    Raises
    ------
    ReconError
        The error that ``failed`` raises.
    """
    stopped = threading.Event()
    pool = ThreadPoolExecutor(limit.ceiling, thread_name_prefix="chunk")
    in_flight: dict[Future[ChunkAnswer], Chunk] = {}
    try:
        for chunk in chunks:
            while len(in_flight) >= limit.limit:
                yield from _finished(in_flight, failed)
            try:
                request = prepare(chunk)
            except ReconError as error:
                failed(chunk, error)
                continue
            sent = pool.submit(_attempt, transport, request, limit, attempts, stopped)
            in_flight[sent] = chunk
            del request  # or the last one would stay in memory while the next is prepared
        while in_flight:
            yield from _finished(in_flight, failed)
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _finished(
    in_flight: dict[Future[ChunkAnswer], Chunk], failed: Callable[[Chunk, ReconError], None]
) -> Generator[tuple[Chunk, ChunkAnswer], None, None]:
    """Wait for at least one request and remove all that are answered."""
    completed, _ = wait(in_flight, return_when=FIRST_COMPLETED)
    for future in completed:
        chunk = in_flight.pop(future)
        try:
            answer = future.result()
        except ReconError as error:
            failed(chunk, error)
        else:
            yield chunk, answer


def _attempt(
    transport: Transport,
    request: Request,
    limit: ConcurrencyLimit,
    attempts: int,
    stopped: threading.Event,
) -> ChunkAnswer:
    """Send up to ``attempts`` times, with growing pauses of random length.

    A full server works: it is asked for up to ``FULL_PATIENCE_S``, whatever the attempts.
    """
    if attempts < 1:
        raise ReconError(f"attempts is {attempts}; expected at least one")
    failures = refusals = 0
    first_sent = time.perf_counter()
    while True:
        started = time.perf_counter()
        try:
            answer = transport.sum_chunk(request)
        except TransientServerError as error:
            limit.failed(swapped=isinstance(error, SwappedAnswerError))
            if isinstance(error, ServerFullError) and started - first_sent < FULL_PATIENCE_S:
                refusals += 1
            else:
                failures += 1
            if failures >= attempts:
                raise _given_up(error, failures + refusals) from error
            longest_s = min(FIRST_PAUSE_S * 2 ** (failures + refusals - 1), LONGEST_PAUSE_S)
            pause_s = random.uniform(0, longest_s)  # noqa: S311 - spreads load, keeps no secret
            if stopped.wait(pause_s):
                raise
        else:
            limit.answered(time.perf_counter() - started)
            return replace(answer, levels_adu=request.levels_adu, light=request.light)


def _given_up(error: TransientServerError, attempts: int) -> TransientServerError:
    times = "once" if attempts == 1 else f"{attempts} times"
    return TransientServerError(
        f"{error} (sent {times}; see whether the server runs, or allow more with --attempts)"
    )
