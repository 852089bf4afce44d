"""Whole frames are read once, a range ahead of the chunks that are cut from them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.chunking import Chunk
from smlm_pipeline.stack import Stack


class ReadAhead(AbstractContextManager["ReadAhead"]):
    """Frames of chunks in the order of their plan; a context manager that ends its thread.

    All tiles of a range of frames share one read, and the next range is read while
    the present one is sent, so two ranges are in memory.

    Parameters
    ----------
    stack : Stack
        The film; nobody else may read it meanwhile.
    chunks : iterable of Chunk
        All that will be asked for, range by range.
    """

    def __init__(self, stack: Stack, chunks: Iterable[Chunk]) -> None:
        self._stack = stack
        self._ranges = iter(dict.fromkeys((each.first_frame, each.last_frame) for each in chunks))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._present: tuple[int, int] | None = None
        self._frames_adu = np.empty((0, 0, 0), np.uint16)
        self._coming: tuple[tuple[int, int], Future[NDArray[np.uint16]]] | None = None
        self._read_next()

    def __exit__(self, *_: object) -> None:
        """Wait for the read that is under way; no more are begun."""
        self._pool.shutdown(cancel_futures=True)

    def frames(self, chunk: Chunk) -> NDArray[np.uint16]:
        """Whole frames of a chunk, shape (N, Y, X), uint16.

        Raises
        ------
        StackError
            If the film cannot be read there.
        """
        wanted = (chunk.first_frame, chunk.last_frame)
        while self._present != wanted and self._coming is not None:
            self._present, read = self._coming
            self._frames_adu = np.empty((0, 0, 0), np.uint16)  # before the next range is begun
            self._frames_adu = read.result()
            self._read_next()
        if self._present != wanted:
            raise ValueError(f"chunk {chunk.index} is not in the order of the plan")
        return self._frames_adu

    def _read_next(self) -> None:
        following = next(self._ranges, None)
        self._coming = following and (following, self._pool.submit(self._stack.read, *following))
