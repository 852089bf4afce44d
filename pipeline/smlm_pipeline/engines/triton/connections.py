"""The gRPC channel to all servers, and its successor when those of a name have changed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.channel import LOOK_UP_LEAST_MS
from smlm_pipeline.errors import ServerError


class Channel(Protocol):
    """A channel to servers, with the calls on it."""

    def close(self) -> None:
        """Close it; pending requests are cancelled."""
        ...


_Channel = TypeVar("_Channel", bound=Channel)


class _Lent(Generic[_Channel]):
    """One channel, its number of servers and of requests that use it."""

    def __init__(self, channel: _Channel, server_count: int) -> None:
        self.channel, self.server_count = channel, server_count
        self.requests = 0


class Connections(Generic[_Channel]):
    """Lends the channel to all servers.

    gRPC looks a name up again when a connection is lost, so a server that joins would get no
    request while the others live. The name is therefore looked up here, at most every
    ``LOOK_UP_LEAST_MS`` and when a request is sent. If it has other addresses, the next requests
    take another channel; those that wait for an answer keep theirs, so a server that leaves the
    name finishes what it has. Used from several threads.

    Parameters
    ----------
    servers : Servers
        The servers of one name are followed; a list stays as it is.
    open_channel : callable
        Opens a channel to a target of gRPC, with a number of servers.

    Raises
    ------
    ServerError
        If a host is not known.
    """

    def __init__(self, servers: Servers, open_channel: Callable[[str, int], _Channel]) -> None:
        self.check_changed: Callable[[], None] = lambda: None
        self._servers, self._open_channel = servers, open_channel
        self._numeric = frozenset(servers.numeric())
        self._current = self._opened()
        self._former: set[_Lent[_Channel]] = set()
        self._looked_up_s = time.monotonic()
        self._lock, self._looking = threading.Lock(), threading.Lock()

    @property
    def server_count(self) -> int:
        """Number of servers that share the requests now."""
        return self._current.server_count

    @property
    def channel(self) -> _Channel:
        """The channel to the servers of now."""
        return self._current.channel

    @contextlib.contextmanager
    def for_a_request(self) -> Iterator[_Channel]:
        """Lend the channel for one request, after a look at the name if that is due.

        Raises
        ------
        ContractError
            If a server that has joined has another network.
        """
        if self._servers.is_name and self._looking.acquire(blocking=False):
            try:
                self._follow()
            finally:
                self._looking.release()
        with self._lock:
            lent = self._current
            lent.requests += 1
        try:
            yield lent.channel
        finally:
            with self._lock:
                lent.requests -= 1
            self._close_unused()

    def close(self) -> None:
        """Close the connections; pending requests are cancelled."""
        for each in (self._current, *self._former):
            each.channel.close()

    def _opened(self) -> _Lent[_Channel]:
        target, server_count = self._servers.connection()
        return _Lent(self._open_channel(target, server_count), server_count)

    def _close_unused(self) -> None:
        with self._lock:
            unused = {each for each in self._former if not each.requests}
            self._former -= unused
        for each in unused:
            each.channel.close()

    def _follow(self) -> None:
        if time.monotonic() - self._looked_up_s < LOOK_UP_LEAST_MS / 1000:
            return
        try:
            numeric = frozenset(self._servers.numeric())
        except ServerError:  # the name is gone for now; the servers may not be
            numeric = self._numeric
        self._looked_up_s = time.monotonic()
        if numeric == self._numeric:
            return
        self.check_changed()
        try:
            successor = self._opened()
        except ServerError:  # gone between two looks; the next one may find it
            return
        with self._lock:
            self._former.add(self._current)
            self._current, self._numeric = successor, numeric
        self._close_unused()
