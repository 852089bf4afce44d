"""Send chunks with a bounded number under way, and send again what may pass later."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from smlm_pipeline.engines.transport import PartialSum, Request, Transport
from smlm_pipeline.errors import ReconError, TransientServerError
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.concurrency import ConcurrencyLimit

FIRST_PAUSE_S = 0.2
"""Longest pause before the second attempt; it doubles with each further one."""

LONGEST_PAUSE_S = 20.0
"""Where the doubling ends."""


def run(
    chunks: Iterable[Chunk],
    prepare: Callable[[Chunk], Request],
    transport: Transport,
    *,
    window: ConcurrencyLimit,
    attempts: int,
    failed: Callable[[Chunk, ReconError], None],
) -> Generator[tuple[Chunk, PartialSum], None, None]:
    """Sums of all chunks, as they come.

    At most ``window.limit`` requests are prepared and not yet answered, so memory
    does not grow with the film. A chunk that fails for good is told to ``failed``, which
    raises to end the run: what is under way is not waited for then.

    Raises
    ------
    ReconError
        What ``failed`` raises of what ``prepare`` or the transport raised, once no attempt is left.
    """
    stopped = threading.Event()
    pool = ThreadPoolExecutor(window.most, thread_name_prefix="chunk")
    under_way: dict[Future[PartialSum], Chunk] = {}
    try:
        for chunk in chunks:
            while len(under_way) >= window.limit:
                yield from _finished(under_way, failed)
            try:
                request = prepare(chunk)
            except ReconError as error:
                failed(chunk, error)
                continue
            sent = pool.submit(_attempt, transport, request, window, attempts, stopped)
            under_way[sent] = chunk
            del request  # or the last one would live on while the next is waited for
        while under_way:
            yield from _finished(under_way, failed)
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _finished(
    under_way: dict[Future[PartialSum], Chunk], failed: Callable[[Chunk, ReconError], None]
) -> Generator[tuple[Chunk, PartialSum], None, None]:
    """Wait for at least one request and take out all that are done."""
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    for future in done:
        chunk = under_way.pop(future)
        try:
            answer = future.result()
        except ReconError as error:
            failed(chunk, error)
        else:
            yield chunk, answer


def _attempt(
    transport: Transport,
    request: Request,
    window: ConcurrencyLimit,
    attempts: int,
    stopped: threading.Event,
) -> PartialSum:
    """Try up to ``attempts`` times, with pauses of random length that grow."""
    for attempt in range(1, attempts + 1):
        longest_s = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
        started = time.perf_counter()
        try:
            answer = transport.sum_chunk(request)
        except TransientServerError as error:
            window.failed()
            if attempt == attempts:
                raise _given_up(error, attempts) from error
            pause_s = random.uniform(0, longest_s)  # noqa: S311 - spreads load, keeps no secret
            if stopped.wait(pause_s):
                raise
        else:
            window.answered(time.perf_counter() - started)
            return answer
    raise ReconError(f"attempts is {attempts}; expected at least one")


def _given_up(error: TransientServerError, attempts: int) -> TransientServerError:
    times = "once" if attempts == 1 else f"{attempts} times"
    return TransientServerError(
        f"{error} (sent {times}; see whether the server runs, or allow more with --attempts)"
    )
