"""Room in memory that requests share, in the order in which they asked for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Share:
    """What one holder has of a room, in bytes."""

    def __init__(self, room: Room, size_bytes: int) -> None:
        self._room, self.size_bytes = room, size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Give back what is not needed: keep so many bytes, if they are fewer."""
        given_bytes = max(self.size_bytes - size_bytes, 0)
        self.size_bytes -= given_bytes
        self._room.give_back(given_bytes)


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
    async def held(self, size_bytes: int) -> AsyncIterator[Share]:
        """Hold so many bytes, at most all of them, when there is room for them."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        self._admit()
        share = Share(self, size_bytes)
        try:
            await turn
            yield share
        finally:
            if turn.done() and not turn.cancelled():
                share.shrink(0)
            self._admit()

    def give_back(self, size_bytes: int) -> None:
        """Take bytes back, and let in those for whom there is room now."""
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
