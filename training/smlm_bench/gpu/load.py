"""Many requests at once: whether each answer is the one that its frames get alone.

A CUDA pool that was full has given wrong images as success. The requests are of several films in
turn, so an answer that belongs to another request is noticed as well.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from smlm_bench.gpu.films import different_films
from smlm_bench.gpu.server import Server
from smlm_pipeline import contract
from smlm_pipeline.engines.transport import ChunkAnswer, Request, Transport
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import InferenceError, SwappedAnswerError, TransientServerError

REQUESTS = 128
"""Requests under way at once: more than every queue of a server holds."""

ROUNDS = 3
"""How often as many requests as are under way at once are sent."""

MOVED_SHARE = 0.05
"""Share of an image's sum that rounding may move under load; wrong memory moves all of it."""

PATIENCE_S, PAUSE_S, PAUSE_MOST_S = 600.0, 0.1, 4.0
"""Longest time for which a request that meets a full queue is repeated; the first pause, which
doubles each time, and the longest: refused requests are read whole, and should not be the load."""

AS_SIZED = "as sized"
"""The CUDA pool that the start script asks for."""

SMALL_POOL_BYTES = 64 << 20
"""A CUDA pool far too small for what is under way."""

SMALL_POOL_ANSWERS = 4
"""Answers of a request of `small_request` that such a pool holds."""


@dataclass(frozen=True)
class LoadResult:
    """What many requests at once were answered with.

    ``wrong`` counts answers other than the ones alone, and answers to other requests, which clients
    do not take; ``refused`` counts requests that a model refused:
    with a CUDA pool of the right size none, with one that is too small those that did not fit.
    """

    model: str
    pool: str
    requests: int
    wrong: int
    refused: int


def whole_request(model: str, size_px: int) -> tuple[int, int]:
    """Frames and edge of the largest request with a tile of this size."""
    return contract.ENSEMBLES[model].answer.frames_most(size_px, size_px), size_px


def small_request(model: str) -> tuple[int, int]:
    """Frames and edge of a request of which a small pool holds a few answers."""
    answer, size_px = contract.ENSEMBLES[model].answer, contract.TILE_SIZES_PX[0]
    frame_bytes = 4 * answer.channels * (answer.zoom * size_px) ** 2
    return SMALL_POOL_BYTES // (SMALL_POOL_ANSWERS * frame_bytes), size_px


def answers_alone(server: Server, model: str, request: tuple[int, int]) -> list[NDArray[np.int64]]:
    """Images of the requests that `answers_under_load` sends, one request after the other."""
    with TritonTransport(Servers.parse(server.address), model=model) as transport:
        return [_image(transport.sum_chunk(each), each) for each in different_films(*request)]


def answers_under_load(
    server: Server,
    model: str,
    *,
    request: tuple[int, int],
    alone: Sequence[NDArray[np.int64]],
    under_way: int = REQUESTS,
    pool: str = AS_SIZED,
) -> LoadResult:
    """Send requests of several films at once, and compare each answer with the one alone.

    On a GPU another load may round otherwise, so that a detection falls into the next SR pixel;
    answers count as wrong where more than ``MOVED_SHARE`` of their sum moved.

    Parameters
    ----------
    server : Server
        Who is asked.
    model : str
        The ensemble.
    request : tuple of int
        Frames of each request, and their edge in pixels: one tile.
    alone : sequence of ndarray
        The expected images, by `answers_alone`: of a server in the same precision whose CUDA pool
        is as sized, since one with a small pool may be wrong about a single request too.
    under_way : int
        Requests at once; ``ROUNDS`` times as many are sent.
    pool : str
        The server's CUDA pool, for the report.
    """
    requests = different_films(*request)
    with TritonTransport(Servers.parse(server.address), model=model) as transport:
        verdict = partial(_verdict, transport, requests, alone)
        with ThreadPoolExecutor(under_way) as threads:
            verdicts = list(threads.map(verdict, range(ROUNDS * under_way)))
    return LoadResult(
        model, pool, len(verdicts), verdicts.count("wrong"), verdicts.count("refused")
    )


def _verdict(
    transport: Transport, requests: Sequence[Request], alone: Sequence[NDArray[np.int64]], turn: int
) -> str:
    """Whether the answer to one of the requests is right, wrong or refused."""
    request, expected = requests[turn % len(requests)], alone[turn % len(requests)]
    try:
        image = _image(_repeatedly(partial(transport.sum_chunk, request)), request)
    except SwappedAnswerError:
        return "wrong"
    except InferenceError:
        return "refused"
    moved = np.abs(image - expected).sum()
    return "wrong" if moved > MOVED_SHARE * expected.sum() else "right"


def _image(answer: ChunkAnswer, request: Request) -> NDArray[np.int64]:
    return answer.sums.dense(request.window.shape)


def _repeatedly(ask: Callable[[], ChunkAnswer]) -> ChunkAnswer:
    """The answer of a server whose queue may be full, which then is asked again."""
    pause_s, end_s = PAUSE_S, time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        try:
            return ask()
        except SwappedAnswerError:
            raise
        except TransientServerError:
            pass
        time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
        pause_s = min(2 * pause_s, PAUSE_MOST_S)
    return ask()
