"""Run a gate until a signal: listen, drain, and state what it listens on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import grpc  # type: ignore[import-untyped]

from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.tls import ClientTls, ServerTls
from smlm_pipeline.errors import ServerError, SettingError
from smlm_pipeline.gate.behind import Behind
from smlm_pipeline.gate.certificates import credentials_to_clients
from smlm_pipeline.gate.clients import Clients
from smlm_pipeline.gate.connections import Connections
from smlm_pipeline.gate.counts import serve_page
from smlm_pipeline.gate.files import Fault
from smlm_pipeline.gate.requests import ANSWER_BYTES_MOST, REQUEST_BYTES_MOST
from smlm_pipeline.gate.service import Gate
from smlm_pipeline.run.kept_memory import keep_freed_memory

DRAIN_S = 60.0
"""Longest wait, after a signal, for requests that are under way."""

CONNECTIONS_MOST, STREAMS_MOST = 1024, 64
"""Most connections, until those without a request are ended, and most calls of one at once."""

_ENDING = (signal.SIGTERM, signal.SIGINT)

_READ_AGAIN_S = 2.0
"""Time between two looks at the file of clients."""

_LISTENING = [
    ("grpc.max_receive_message_length", REQUEST_BYTES_MOST),
    ("grpc.max_send_message_length", ANSWER_BYTES_MOST),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MOST),
    ("grpc.max_concurrent_streams", STREAMS_MOST),
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Whoever is gone without a word gives its places back.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Connections of those who ask nothing make room for others.
    ("grpc.max_connection_idle_ms", 60_000),
    # A client finds new gates behind a name when a connection ends.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 900_000),
    ("grpc.so_reuseport", 0),
    # Nothing is unpacked: a compressed message is no request, and refused as it is.
    ("grpc.per_message_decompression", 0),
]


_KEPT_BYTES = 256 << 20
"""Freed memory that the gate keeps: without, the kernel's pages cost half of its processor time."""


@dataclass(frozen=True)
class Listening:
    """Where a gate listens: for clients, and for Prometheus and probes, None for nowhere."""

    clients: Address
    page: Address | None
    tls: ServerTls | None


async def run_gate(
    listening: Listening,
    servers: Servers,
    clients: Clients,
    *,
    renewed: Callable[[], ClientTls | None],
    report: Callable[[str], None],
) -> None:
    """Let requests through until SIGTERM or SIGINT; then end what is under way, and this process.

    It does not wait for its own questions to servers and for names that it looks up: nothing ends
    these early, and without an answer they take up to half a minute.

    Parameters
    ----------
    listening : Listening
        Addresses and certificates.
    servers : Servers
        Where requests are sent.
    clients : Clients
        Who is admitted.
    renewed : callable
        Returns other certificates for the connections to servers, once they have changed.
    report : callable
        Receives a line about the start and the end.

    Raises
    ------
    ServerError
        If an address is taken, or a server's name is not known.
    """
    keep_freed_memory(_KEPT_BYTES)
    _allow_open_files()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, _end_process)  # no request is under way yet
    async with Behind(servers, renewed=renewed, report=report) as behind:
        server, port = _bound(listening, report)
        connections = Connections(port)
        gate = Gate(clients, behind, connections)
        background = [
            asyncio.create_task(_read_clients_again(clients, listening.tls, report)),
            asyncio.create_task(connections.keep_few()),
        ]
        server.add_generic_rpc_handlers((gate,))
        await server.start()
        for number in _ENDING:
            loop.add_signal_handler(number, ended.set)
        page = None
        try:
            if listening.page is not None:
                page = await _page(listening.page, gate, behind)
            report(f"gate at {listening.clients} before {servers}")
            await ended.wait()
            report(f"ending; requests under way have {DRAIN_S:.0f} s")
        finally:
            for task in background:
                task.cancel()
            await server.stop(DRAIN_S)
            if page is not None:
                page.close()
    _end_process()


def _end_process() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _allow_open_files() -> None:
    """Ask for as many open files as connections need, where the system grants them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _read_clients_again(
    clients: Clients, tls: ServerTls | None, report: Callable[[str], None]
) -> None:
    """Look every `_READ_AGAIN_S` whether the file of clients has changed."""
    fault = Fault(report)
    while True:
        await asyncio.sleep(_READ_AGAIN_S)
        try:
            if clients.read_again(tls):
                report("the clients are read again")
            fault.is_now("")
        except SettingError as error:
            fault.is_now(f"{error}; the clients before stay")


def _bound(listening: Listening, report: Callable[[str], None]) -> tuple[grpc.aio.Server, int]:
    """A server that does not answer yet, and its port."""
    server = grpc.aio.server(options=_LISTENING)
    try:
        if listening.tls is None:
            port = server.add_insecure_port(str(listening.clients))
        else:
            credentials = credentials_to_clients(listening.tls, report=report)
            port = server.add_secure_port(str(listening.clients), credentials)
    except RuntimeError as error:
        raise _taken(listening.clients, "--listen") from error
    return server, port


async def _page(address: Address, gate: Gate, behind: Behind) -> asyncio.Server:
    try:
        return await serve_page(
            address.host, address.port, lambda: gate.counts.as_text(gate.busy), behind.is_ready
        )
    except OSError as error:
        raise _taken(address, "--metrics") from error


def _taken(address: Address, option: str) -> ServerError:
    return ServerError(
        f"{address} cannot be listened on; expected an address of this machine with a free port: "
        f"choose another with {option}"
    )
