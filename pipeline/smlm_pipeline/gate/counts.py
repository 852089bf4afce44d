"""Counts of a gate, and the page that Prometheus and probes read."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from smlm_pipeline.gate.clients import Client

_QUESTION_BYTES_MOST, _QUESTION_TIMEOUT_S = 1024, 5.0


class Counts:
    """What came through the gate, and what did not, by client."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._frames: Counter[str] = Counter()

    def answered(self, client: str, frames: int, sent_bytes: int, received_bytes: int) -> None:
        """Count a request whose answer was sent to its client."""
        self._requests[client, "OK"] += 1
        self._frames[client] += frames
        self._bytes[client, "in"] += sent_bytes
        self._bytes[client, "out"] += received_bytes

    def refused(self, client: str, code: str) -> None:
        """Count a request that ended with an error; by the gate or by the server."""
        self._requests[client, code] += 1

    def as_text(self, clients: Iterable[Client]) -> str:
        """Convert to Prometheus' text format; names of clients hold no mark that it escapes."""
        busy = Counter[str]()
        for client in clients:
            busy[client.name] += client.under_way
        kinds = [
            ("requests_total", "counter", "Requests for inference, by their status.", "code"),
            ("bytes_total", "counter", "Bytes of answered requests and of their answers.", "way"),
        ]
        lines = []
        for (name, kind, help_text, label), values in zip(
            kinds, (self._requests, self._bytes), strict=True
        ):
            lines += [f"# HELP recon_gate_{name} {help_text}", f"# TYPE recon_gate_{name} {kind}"]
            lines += [
                f'recon_gate_{name}{{client="{client}",{label}="{value}"}} {count}'
                for (client, value), count in sorted(values.items())
            ]
        for name, kind, help_text, counts in (
            ("frames_total", "counter", "Frames of answered requests.", self._frames),
            ("under_way", "gauge", "Requests under way.", busy),
        ):
            lines += [f"# HELP recon_gate_{name} {help_text}", f"# TYPE recon_gate_{name} {kind}"]
            lines += [
                f'recon_gate_{name}{{client="{client}"}} {count}'
                for client, count in sorted(counts.items())
            ]
        return "\n".join(lines) + "\n"


async def serve_page(
    host: str, port: int, counts: Callable[[], str], is_ready: Callable[[], Awaitable[bool]]
) -> asyncio.Server:
    """Answer ``GET /metrics`` with the counts, and ``GET /ready`` with 200 or 503.

    Parameters
    ----------
    host : str
        Address to listen on.
    port : int
        Port to listen on.
    counts : callable
        Returns the counts as text.
    is_ready : callable
        Whether a request would be answered now.

    Raises
    ------
    OSError
        If the port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
            line = await asyncio.wait_for(reader.readline(), _QUESTION_TIMEOUT_S)
            status, text = "404 Not Found", "expected /metrics or /ready\n"
            if line.startswith(b"GET /metrics "):
                status, text = "200 OK", counts()
            elif line.startswith(b"GET /ready "):
                ready = await is_ready()
                status = "200 OK" if ready else "503 Service Unavailable"
                text = "ready\n" if ready else "the server behind the gate is not ready\n"
            head = f"HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n"
            writer.write((head + text).encode())
            await asyncio.wait_for(writer.drain(), _QUESTION_TIMEOUT_S)
        writer.close()

    return await asyncio.start_server(answer, host, port, limit=_QUESTION_BYTES_MOST)
