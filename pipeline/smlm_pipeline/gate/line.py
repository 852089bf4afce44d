"""A line of requests before a gate's places, or before its servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

from smlm_pipeline.gate.clients import Client


class Turn:
    """What a request has when its turn has come, until it leaves."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave, self._has_left = leave, False

    def leave(self) -> None:
        """Let the next one in."""
        if not self._has_left:
            self._has_left = True
            self._leave()


class Line:
    """Requests wait until there is room; of those that wait, a client with the fewest is next.

    Parameters
    ----------
    has_room : callable
        Whether there is room for one more request: of a client, beside so many that have their
        turn, and so many of them its own.
    held : callable, optional
        What a client has beside its turns, which counts like them.
    """

    def __init__(
        self,
        has_room: Callable[[Client, int, int], bool],
        held: Callable[[Client], int] = lambda _: 0,
    ) -> None:
        self._has_room, self._held = has_room, held
        self._turns: Counter[int] = Counter()
        self._waiting: list[tuple[Client, asyncio.Future[None]]] = []  # the oldest first

    @contextlib.asynccontextmanager
    async def turn(self, client: Client, within_s: float | None = None) -> AsyncIterator[Turn]:
        """Wait for a turn, and have it until the end of the block, or until it is left.

        Raises
        ------
        asyncio.TimeoutError
            If it does not come in time.
        """
        come = asyncio.get_running_loop().create_future()
        waiting = client, come
        self._waiting.append(waiting)
        self.advance()
        turn = Turn(lambda: self._leave(client))
        try:
            await asyncio.wait_for(come, within_s)
            yield turn
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                turn.leave()

    def advance(self) -> None:
        """Let in those for whom there is room now."""
        while (waiting := self._next()) is not None:
            self._waiting.remove(waiting)
            client, come = waiting
            self._turns[id(client)] += 1
            if not come.done():
                come.set_result(None)

    def _next(self) -> tuple[Client, asyncio.Future[None]] | None:
        if not self._waiting:
            return None
        turns = self._turns.total()
        count: dict[int, int] = {}  # of each client that has room; many wait, of few clients
        for client in {id(each): each for each, _ in self._waiting}.values():
            own = self._turns[id(client)]
            if self._has_room(client, turns, own):
                count[id(client)] = own + self._held(client)
        able = [each for each in self._waiting if id(each[0]) in count]
        return min(able, key=lambda each: count[id(each[0])], default=None)

    def _leave(self, client: Client) -> None:
        self._turns[id(client)] -= 1
        self._turns += Counter()  # which forgets those that have none
        self.advance()
