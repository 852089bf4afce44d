"""HTTP/2 as an attacker speaks it: requests that stop, answers that stay, idle connections.

Clients of gRPC finish what they send and take what they asked for, so none of them serves here.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator

from smlm_pipeline.gate.calls import SERVICE

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_INITIAL_WINDOW_SIZE = 4
_FRAME_BYTES_MOST = 16_384


class RawClient:
    """One connection, from a host of the loopback; it never gives the server more room for answers.

    ``answered_bytes`` came of answers; ``ended`` are the calls that the server has ended, and
    ``is_open`` tells whether the connection still is.
    """

    def __init__(self, address: str, *, host: str, window_bytes: int) -> None:
        self.answered_bytes, self.ended, self.is_open = 0, set[int](), True
        self._next, self._waiting = 1, b""
        target, port = address.split(":")
        self.socket = socket.create_connection((target, int(port)), 10, (host, 0))
        self._send(_PREFACE, raw=True)
        self._send(struct.pack("!HI", _INITIAL_WINDOW_SIZE, window_bytes), _SETTINGS)

    def ask(self, body: bytes, *, method: str = "ModelInfer", stated_bytes: int = 0) -> int:
        """Send a call with one message, which ends early if more bytes are stated; its number."""
        stream, self._next = self._next, self._next + 2
        names = [(":method", "POST"), (":scheme", "http"), (":path", SERVICE + method)]
        names += [(":authority", "gate"), ("te", "trailers"), ("content-type", "application/grpc")]
        # HPACK without its tables: each name and value as it is.
        fields = (bytes([len(word)]) + word.encode() for pair in names for word in pair)
        block = b"".join(b"\x00" + name + value for name, value in zip(fields, fields, strict=True))
        self._send(block, _HEADERS, _END_HEADERS, stream)
        message = struct.pack("!BI", 0, max(stated_bytes, len(body))) + body
        for start in range(0, len(message), _FRAME_BYTES_MOST):
            self._send(message[start : start + _FRAME_BYTES_MOST], _DATA, 0, stream)
        if stated_bytes <= len(body):
            self._send(b"", _DATA, _END_STREAM, stream)
        return stream

    def read(self) -> None:
        """Take what has come, and answer what HTTP/2 itself asks."""
        try:
            came = self.socket.recv(1 << 20)
        except OSError:
            came = b""
        self.is_open = bool(came)
        self._waiting += came
        while len(self._waiting) >= 9:
            size, kind, flags, stream = struct.unpack("!IBBI", b"\0" + self._waiting[:9])
            if len(self._waiting) < 9 + size:
                return
            self._take(kind, flags, stream, self._waiting[9 : 9 + size])
            self._waiting = self._waiting[9 + size :]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._send(payload if kind == _PING else b"", kind, _ACK)
        elif kind == _DATA:
            self.answered_bytes += len(payload)
        if kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            self.ended.add(stream)

    def _send(
        self, payload: bytes, kind: int = 0, flags: int = 0, stream: int = 0, *, raw: bool = False
    ) -> None:
        head = b"" if raw else struct.pack("!IBBI", len(payload), kind, flags, stream)[1:]
        with contextlib.suppress(OSError):  # the server has ended the connection
            self.socket.sendall(head + payload)


class Crowd:
    """Raw clients that one thread keeps alive; ``clients`` are those that are connected."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._selector, self._left = selectors.DefaultSelector(), threading.Event()
        self._lock, self.clients = threading.Lock(), list[RawClient]()

    def join(self, host: str, *, window_bytes: int = 65_535) -> RawClient:
        """Another connection, from a host of the loopback."""
        client = RawClient(self._address, host=host, window_bytes=window_bytes)
        with self._lock:
            self._selector.register(client.socket, selectors.EVENT_READ, client)
            self.clients.append(client)
        return client

    def _keep(self) -> None:
        while not self._left.wait(0.005):
            with self._lock:
                for key, _ in self._selector.select(0):
                    key.data.read()
                    if not key.data.is_open:
                        self._selector.unregister(key.fileobj)
                        key.data.socket.close()
                        self.clients.remove(key.data)


@contextlib.contextmanager
def crowd(address: str) -> Iterator[Crowd]:
    """Raw clients of a gate, all of which are gone at the end of the block."""
    found = Crowd(address)
    thread = threading.Thread(target=found._keep)
    thread.start()
    try:
        yield found
    finally:
        found._left.set()
        thread.join()
        for client in found.clients:
            client.socket.close()
        found._selector.close()
