"""A piece of wire before a server: bytes pass as they are, until it is cut."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wire:
    """On a free port of the loopback, running within a ``with`` block.

    Parameters
    ----------
    address : str
        ``HOST:PORT`` of the server behind it.
    """

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self._server = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="wire")]
        self._bytes_left: int | None = None
        self.cuts = 0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends a waiting accept
        self._threads[0].join()
        self._hang_up()
        for thread in self._threads[1:]:
            thread.join()
        for each in (self._listener, *self._ends):
            each.close()

    def cut_after(self, bytes_left: int) -> None:
        """Cut all connections when so many more bytes have come back from the server."""
        with self._lock:
            self._bytes_left = bytes_left

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            self._ends += [near, far]
            for pump, ends in ((self._there, (near, far)), (self._back, (far, near))):
                self._threads.append(threading.Thread(target=pump, args=ends, name="wire"))
                self._threads[-1].start()

    def _there(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        _end(source, target)

    def _back(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                passed_bytes = self._passed(len(data))
                target.sendall(data[:passed_bytes])
                if passed_bytes < len(data):
                    self._hang_up()
        _end(source, target)

    def _passed(self, size_bytes: int) -> int:
        """How many of so many bytes pass; fewer than all where the wire is cut."""
        with self._lock:
            left_bytes = self._bytes_left
            if left_bytes is None:
                return size_bytes
            if left_bytes >= size_bytes:
                self._bytes_left = left_bytes - size_bytes
                return size_bytes
            self._bytes_left = None
            self.cuts += 1
            return left_bytes

    def _hang_up(self) -> None:
        for each in list(self._ends):
            _end(each)


def _end(*ends: socket.socket) -> None:
    for each in ends:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
