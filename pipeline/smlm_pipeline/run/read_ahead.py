"""Reads whole frames once, a range ahead of the chunks that are cut from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.engines.transport import Request
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.requests import request_of

_Read: TypeAlias = tuple[tuple[int, int], Future[NDArray[np.uint16]]]
"""A range of frames, and its frames as soon as they are read."""


class ReadAhead(AbstractContextManager["ReadAhead"]):
    """Frames of chunks in the order of their plan; a context manager that ends its thread.

    All tiles of a range of frames share one read, and the next range is read while
    the present one is sent, so two ranges are in memory.

    Parameters
    ----------
    film : Film
        The film; no other thread may read it meanwhile.
    chunks : iterable of Chunk
        All chunks that will be read, range by range.
    """

    def __init__(self, film: Film, chunks: Iterable[Chunk]) -> None:
        self._film = film
        ranges = ((chunk.first_frame, chunk.last_frame) for chunk in chunks)
        self._ranges = iter(dict.fromkeys(ranges))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._present: _Read | None = None
        self._coming: _Read | None = None
        self._read_next()

    def __exit__(self, *_: object) -> None:
        """Wait for the read in progress; no more are started."""
        self._pool.shutdown(cancel_futures=True)

    def requests(self, survey: Survey, zoom: int) -> Callable[[Chunk], Request]:
        """A function that makes the request of a chunk, for `dispatch.run`."""
        corner = self._film.corner
        return lambda chunk: request_of(self.frames(chunk), chunk, survey, zoom, corner)

    def frames(self, chunk: Chunk) -> NDArray[np.uint16]:
        """Whole frames of a chunk, shape (N, Y, X), uint16.

        Raises
        ------
        FilmError
            If the film cannot be read there.
        """
        wanted = (chunk.first_frame, chunk.last_frame)
        while (self._present is None or self._present[0] != wanted) and self._coming is not None:
            self._present = self._coming  # which lets go of the last range
            wait([self._present[1]])  # before the next one is begun
            self._read_next()
        if self._present is None or self._present[0] != wanted:
            raise ValueError(f"chunk {chunk.index} is not in the order of the plan")
        return self._present[1].result()

    def _read_next(self) -> None:
        following = next(self._ranges, None)
        self._coming = following and (following, self._pool.submit(self._film.read, *following))
