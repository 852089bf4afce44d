"""Reads and prepares whole frames once, a range ahead of the chunks that are cut from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.film.film import Film
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.requests import request_of

Prepared: TypeAlias = tuple[NDArray[np.uint16], NDArray[np.float32]]
"""Frames (N, Y, X) as a network takes them, and their levels (N, 2), both in ADU."""

_Read: TypeAlias = tuple[tuple[int, int], Future[Prepared]]
"""A range of frames, and its frames as soon as they are read and prepared."""


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
    conditioning : Conditioning
        How frames are prepared.
    """

    def __init__(self, film: Film, chunks: Iterable[Chunk], conditioning: Conditioning) -> None:
        self._film, self._conditioning = film, conditioning
        ranges = ((chunk.first_frame, chunk.last_frame) for chunk in chunks)
        self._ranges = iter(dict.fromkeys(ranges))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._present: _Read | None = None
        self._coming: _Read | None = None
        self._read_next()

    def __exit__(self, *_: object) -> None:
        """Wait for the read in progress; no more are started."""
        self._pool.shutdown(cancel_futures=True)

    def requests(
        self,
        zoom: int,
        class_borders_px: Sequence[float] = (),
        *,
        molecules: bool = False,
        light: bool = False,
    ) -> Callable[[Chunk], Request]:
        """A function that makes the request of a chunk, for `dispatch.run`; see `request_of`."""
        corner = self._film.corner

        def prepare(chunk: Chunk) -> Request:
            frames_adu, levels_adu = self.frames(chunk)
            return request_of(
                frames_adu,
                chunk,
                levels_adu,
                zoom,
                corner,
                class_borders_px=class_borders_px,
                molecules=molecules,
                light=light,
            )

        return prepare

    def frames(self, chunk: Chunk) -> Prepared:
        """Whole frames of a chunk, (N, Y, X) uint16, and their levels, (N, 2) float32.

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
        self._coming = following and (following, self._pool.submit(self._read, *following))

    def _read(self, first: int, last: int) -> Prepared:
        return self._conditioning.apply(self._film.read(first, last), first)
