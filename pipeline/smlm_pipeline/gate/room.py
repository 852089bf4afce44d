"""Room in memory that clients share, in the order in which they asked for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from smlm_pipeline.gate.clients import Client


class Share:
    """What one holder has of a room, in bytes."""

    def __init__(self, room: Room, client: Client, size_bytes: int) -> None:
        self._room, self._client, self.size_bytes = room, client, size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Give back what is not needed: keep so many bytes, if they are fewer."""
        given_bytes = max(self.size_bytes - size_bytes, 0)
        self.size_bytes -= given_bytes
        self._room.give_back(self._client, given_bytes)


class Room:
    """A number of bytes, of which each client takes some.

    Of clients that hold none, no one overtakes another, so one that needs much is not kept waiting
    by many that need little. A client that holds some gets more when as much stays free as it then
    holds; until then others overtake it.

    Parameters
    ----------
    size_bytes : int
        Bytes that all clients have together.
    """

    def __init__(self, size_bytes: int) -> None:
        self._free_bytes = size_bytes
        self._held_bytes: Counter[int] = Counter()
        self._waiting: list[tuple[int, Client, asyncio.Future[None]]] = []

    @contextlib.asynccontextmanager
    async def held(self, client: Client, size_bytes: int) -> AsyncIterator[Share]:
        """Hold so many bytes, at most all of them, when there is room for them."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, client, turn))
        self._admit()
        share = Share(self, client, size_bytes)
        try:
            await turn
            yield share
        finally:
            if turn.done() and not turn.cancelled():
                share.shrink(0)
            self._admit()

    def give_back(self, client: Client, size_bytes: int) -> None:
        """Take a client's bytes back, and let in those for whom there is room now."""
        self._free_bytes += size_bytes
        self._held_bytes[id(client)] -= size_bytes
        self._held_bytes += Counter()  # which forgets those that hold none
        self._admit()

    def _admit(self) -> None:
        """Let those in whose turn it is, as far as there is room."""
        self._waiting = [each for each in self._waiting if not each[2].cancelled()]
        for each in [*self._waiting]:
            size_bytes, client, turn = each
            held_bytes = self._held_bytes[id(client)]
            if held_bytes and held_bytes + size_bytes > self._free_bytes - size_bytes:
                continue
            if size_bytes > self._free_bytes:
                return
            self._free_bytes -= size_bytes
            self._held_bytes[id(client)] += size_bytes
            self._waiting.remove(each)
            turn.set_result(None)
