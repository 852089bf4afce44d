"""Connections of a gate's clients as the kernel knows them: gRPC neither lists nor ends them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_OPEN_FILES = Path("/dev/fd")
"""What Linux and macOS call the open files of a process."""

CONNECTIONS_KEPT = 256
"""Connections above which those without a request under way are ended."""

_LOOK_S = 0.25
"""Time between two looks at the connections."""


@dataclass(frozen=True)
class Peer:
    """The client's end of a connection."""

    host: str
    port: int

    @classmethod
    def of_grpc(cls, text: str) -> Peer | None:
        """Read what gRPC states, as ``ipv4:10.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``."""
        _, _, address = unquote(text).partition(":")
        host, _, port = address.rpartition(":")
        return cls(_host(host), int(port)) if port.isdecimal() else None

    @property
    def site(self) -> str:
        """What counts as one client: a host, or with IPv6 its network, whose addresses are many."""
        if ":" not in self.host:
            return self.host
        return str(ipaddress.ip_network((self.host, 64), strict=False))


class Connections:
    """The connections that clients have to the port on which a gate listens.

    Parameters
    ----------
    port : int
        That port.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._busy: Counter[Peer] = Counter()
        self._seen: list[Peer] = []  # the oldest first

    @contextlib.contextmanager
    def busy(self, peer: str) -> Iterator[None]:
        """Keep a connection, by the name that gRPC gives to its peer, for as long as a call."""
        found = Peer.of_grpc(peer)
        if found is None:
            yield
            return
        self._busy[found] += 1
        try:
            yield
        finally:
            self._busy[found] -= 1
            if not self._busy[found]:
                del self._busy[found]

    def end(self, peer: str) -> None:
        """End a connection and all calls on it, at once."""
        self._end({Peer.of_grpc(peer)})

    async def keep_few(self) -> None:
        """Look again and again whether there are too many, and end those that `surplus` names."""
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(OSError):  # a system without a list of open files
                if len([*_OPEN_FILES.iterdir()]) > CONNECTIONS_KEPT:
                    self._end(self._too_many())

    def _too_many(self) -> set[Peer | None]:
        now = {peer for peer, _ in self._open()}
        known = set(self._seen)
        self._seen = [peer for peer in self._seen if peer in now]
        self._seen += [peer for peer in now if peer not in known]
        return {*surplus(self._seen, self._busy, CONNECTIONS_KEPT)}

    def _end(self, peers: Collection[Peer | None]) -> None:
        for peer, connection in self._open():
            if peer in peers:
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    connection.shutdown(socket.SHUT_RDWR)

    def _open(self) -> Iterator[tuple[Peer, socket.socket]]:
        """Each connection, with a socket of its own: gRPC may close its one at any time."""
        for name in [int(each.name) for each in _OPEN_FILES.iterdir()]:
            with contextlib.suppress(OSError):  # it was closed meanwhile, or has no other end
                own = os.dup(name)
                try:
                    # Of our own: in between, the name may have become that of another file.
                    is_socket = stat.S_ISSOCK(os.fstat(own).st_mode)
                    found = socket.socket(fileno=own) if is_socket else None
                except OSError:
                    found = None
                if found is None:
                    os.close(own)
                    continue
                with found:
                    inet = found.family in (socket.AF_INET, socket.AF_INET6)
                    if inet and found.getsockname()[1] == self._port:
                        host, port, *_ = found.getpeername()
                        yield Peer(_host(host), port), found


def surplus(peers: list[Peer], busy: Collection[Peer], kept: int) -> list[Peer]:
    """Name the connections to end, so that so many are left.

    Parameters
    ----------
    peers : list of Peer
        All, the oldest first.
    busy : collection of Peer
        Those with a call under way, which stay.
    kept : int
        Connections that may stay.

    Returns
    -------
    list of Peer
        The oldest of the site that has the most, as long as there are too many.
    """
    of_site = Counter(peer.site for peer in peers)
    idle: dict[str, list[Peer]] = {}
    for peer in reversed(peers):
        if peer not in busy:
            idle.setdefault(peer.site, []).append(peer)
    found: list[Peer] = []
    while idle and len(peers) - len(found) > kept:
        site = max(idle, key=lambda each: of_site[each])
        found.append(idle[site].pop())
        of_site[site] -= 1
        if not idle[site]:
            del idle[site]
    return found


def _host(text: str) -> str:
    """One text for each host, however it is written."""
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)
