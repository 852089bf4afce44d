"""Places of a gate, shared so that no client keeps others out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from smlm_pipeline.gate.clients import Client


class NoPlaceError(Exception):
    """There is no place for this client now."""


class Places:
    """A number of places, of which a client gets another one while as many are free as it has.

    So each has the same share in time, and one that has none finds a place: a client alone can
    have half of all, N clients one part of N + 1 each.

    Parameters
    ----------
    most : int
        Places of all clients together.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._held: Counter[int] = Counter()

    def check(self, client: Client) -> None:
        """Check that there is a place for a client.

        Raises
        ------
        NoPlaceError
            If it has its share, or there is none.
        """
        if self._held[id(client)] >= self._free:
            raise NoPlaceError

    @contextlib.contextmanager
    def held(self, client: Client) -> Iterator[None]:
        """Hold a place.

        Raises
        ------
        NoPlaceError
            If the client has its share, or there is none.
        """
        self.check(client)
        self._free -= 1
        self._held[id(client)] += 1
        try:
            yield
        finally:
            self._free += 1
            self._held[id(client)] -= 1
            self._held += Counter()  # which forgets those that hold none


@dataclass(eq=False)
class _Reception:
    """A message that comes from a client."""

    client: Client
    begun_s: float
    task: asyncio.Task[Any]
    has_yielded: bool = False


class Receptions:
    """Messages that are being received, of which a client may stop in the midst of any.

    When all places are taken, another message takes that of the client that receives the most. If
    each receives one, clients that receive none wait, the first one for the oldest message to end,
    or to have lasted for long.

    Parameters
    ----------
    most : int
        Messages of all clients together.
    sure_s : float
        Time for which a client keeps its last place though others wait.
    """

    def __init__(self, most: int, *, sure_s: float) -> None:
        self._most, self._sure_s = most, sure_s
        self._all: list[_Reception] = []  # the oldest first
        self._waiting: set[int] = set()
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()

    async def received(self, client: Client, read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Await a client's message.

        Parameters
        ----------
        client : Client
            Who sends it.
        read : callable
            Begins to receive it.

        Raises
        ------
        NoPlaceError
            If there is no place for it, or another message took its place.
        """
        await self._admit(client)
        own = _Reception(client, time.monotonic(), asyncio.ensure_future(read()))
        self._all.append(own)
        try:
            return await own.task
        except asyncio.CancelledError:
            if own.has_yielded:
                raise NoPlaceError from None
            raise
        finally:
            self._leave(own)

    async def _admit(self, client: Client) -> None:
        if self._has_room(client) and not self._waiting:
            return
        receives = any(each.client is client for each in self._all)
        if receives or id(client) in self._waiting:
            raise NoPlaceError
        self._waiting.add(id(client))
        try:
            async with self._turn:  # in the order in which they asked for it
                while not self._has_room(client):
                    self._changed.clear()
                    left_s = self._all[0].begun_s + self._sure_s - time.monotonic()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), max(left_s, 0.0))
        finally:
            self._waiting.discard(id(client))

    def _has_room(self, client: Client) -> bool:
        """Whether there is a place, or a reception has ended in favour of a client."""
        if len(self._all) < self._most:
            return True
        counts = Counter(id(each.client) for each in self._all)
        own, most = counts[id(client)], max(counts.values())
        oldest = next(each for each in self._all if counts[id(each.client)] == most)
        has_lasted = time.monotonic() - oldest.begun_s >= self._sure_s
        if most <= own + 1 and (own or not has_lasted):
            return False
        oldest.has_yielded = oldest.task.cancel()
        self._leave(oldest)
        return True

    def _leave(self, reception: _Reception) -> None:
        with contextlib.suppress(ValueError):  # it has yielded
            self._all.remove(reception)
        self._changed.set()
