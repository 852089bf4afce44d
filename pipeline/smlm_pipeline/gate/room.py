"""Room in memory that requests share, in the order in which they asked for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Room:
    """A number of bytes, of which each holder takes some.

    No one overtakes another, so a holder of much is not kept waiting by many of little.

    Parameters
    ----------
    size_bytes : int
        Bytes that all holders have together.
    """

    def __init__(self, size_bytes: int) -> None:
        self._free_bytes = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def held(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold so many bytes, at most all of them, when there is room for them."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free_bytes += size_bytes
            self._admit()

    def _admit(self) -> None:
        """Let those in whose turn it is, as far as there is room."""
        while self._waiting:
            size_bytes, turn = self._waiting[0]
            if not turn.cancelled():
                if size_bytes > self._free_bytes:
                    return
                self._free_bytes -= size_bytes
                turn.set_result(None)
            self._waiting.popleft()
