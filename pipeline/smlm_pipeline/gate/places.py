"""Places of a gate, shared so that no client keeps others out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from smlm_pipeline.gate.clients import Client


class NoPlaceError(Exception):
    """There is no place for this client now."""


@dataclass(eq=False)
class Place:
    """A place that a client has for some work."""

    client: Client
    begun_s: float = field(default_factory=time.monotonic)
    task: asyncio.Task[Any] | None = None
    is_kept: bool = False
    was_taken: bool = False

    def keep(self) -> None:
        """Let no other client take it from now on."""
        self.is_kept = True


Work = Callable[[Place], Coroutine[Any, Any, Any]]


class Places:
    """A number of places; when none is free, the client that has the most loses its newest one.

    A client takes a place only from one that has more than twice as many as it then has itself:
    clients that are merely busy take none from each other.

    Parameters
    ----------
    most : int
        Places of all clients together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: list[Place] = []  # the oldest first
        self.changed: Callable[[], None] = lambda: None

    async def held(self, client: Client, work: Work) -> Any:
        """Do some work in a place, and return what it returns.

        Parameters
        ----------
        client : Client
            Whose work it is.
        work : callable
            Begins it, in the place that it is given.

        Raises
        ------
        NoPlaceError
            If there is no place, or another client took it.
        """
        await self._admit(client)
        place = Place(client)
        place.task = asyncio.ensure_future(work(place))
        self._all.append(place)
        try:
            return await place.task
        except asyncio.CancelledError:
            if place.was_taken:
                raise NoPlaceError from None
            raise
        finally:
            self._leave(place)

    def count(self, client: Client) -> int:
        """How many places a client has."""
        return self._counts()[id(client)]

    def has_room(self, client: Client, expected: int, own: int) -> bool:
        """Whether a client gets a place, beside so many that are expected, of which some its own.

        It may be that of another client.
        """
        if len(self._all) + expected < self._most:
            return True
        return self._to_take(client, own) is not None

    async def _admit(self, client: Client) -> None:
        if not self._make_room(client):
            raise NoPlaceError

    def _make_room(self, client: Client) -> bool:
        """Whether there is a place, or one was taken from another client."""
        if len(self._all) < self._most:
            return True
        taken = self._to_take(client)
        if taken is None or taken.task is None:
            return False
        taken.was_taken = taken.task.cancel()
        self._leave(taken)
        return True

    def _to_take(self, client: Client, expected: int = 0) -> Place | None:
        """The place that a client may take from another one, beside those that it expects."""
        counts = self._counts()
        own = counts[id(client)] + expected
        most = self._most_of_those_that_can_lose(counts)
        if most <= 2 * own + 1:
            return None
        return next(each for each in reversed(self._all) if self._has(each, most, counts))

    def _counts(self) -> Counter[int]:
        return Counter(id(each.client) for each in self._all)

    def _most_of_those_that_can_lose(self, counts: Counter[int]) -> int:
        return max((counts[id(each.client)] for each in self._all if not each.is_kept), default=0)

    @staticmethod
    def _has(place: Place, count: int, counts: Counter[int]) -> bool:
        return not place.is_kept and counts[id(place.client)] == count

    def _leave(self, place: Place) -> None:
        with contextlib.suppress(ValueError):  # it was taken
            self._all.remove(place)
            self.changed()


class Receptions(Places):
    """Messages that are being received, of which a client may stop in the midst of any.

    The client that receives the most loses its oldest one. If each receives one, clients that
    receive none wait, the first one for the oldest message to end, or to have lasted for long.

    Parameters
    ----------
    most : int
        Messages of all clients together.
    sure_s : float
        Time for which a client keeps its last place though others wait.
    """

    def __init__(self, most: int, *, sure_s: float) -> None:
        super().__init__(most)
        self._sure_s = sure_s
        self._waiting: set[int] = set()
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()

    async def _admit(self, client: Client) -> None:
        if not self._waiting and self._make_room(client):
            return
        if self._counts()[id(client)] or id(client) in self._waiting:
            raise NoPlaceError
        self._waiting.add(id(client))
        try:
            async with self._turn:  # in the order in which they asked for it
                while not self._make_room(client):
                    self._changed.clear()
                    left_s = self._all[0].begun_s + self._sure_s - time.monotonic()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), max(left_s, 0.0))
        finally:
            self._waiting.discard(id(client))

    def _to_take(self, client: Client, _expected: int = 0) -> Place | None:
        counts = self._counts()
        own, most = counts[id(client)], self._most_of_those_that_can_lose(counts)
        oldest = next(each for each in self._all if self._has(each, most, counts))
        has_lasted = time.monotonic() - oldest.begun_s >= self._sure_s
        return oldest if most > own + 1 or (not own and has_lasted) else None

    def _leave(self, place: Place) -> None:
        super()._leave(place)
        self._changed.set()
