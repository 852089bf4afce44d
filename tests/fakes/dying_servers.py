"""Ways in which a real server goes away under its clients."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from fakes.processes import children, wait_for
from smlm_pipeline.engines.embedded import EmbeddedServer


def kill(server: EmbeddedServer) -> None:
    """``kill -9``, of its Python models too: nothing of it answers any more."""
    os.killpg(server.pid, signal.SIGKILL)


def drain(server: EmbeddedServer) -> None:
    """SIGTERM; returns when the server has begun to stop."""
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not _listens(server.http_address), "the server to begin to stop")


def kill_stub(model: str, server: EmbeddedServer) -> None:
    """``kill -9`` of the process in which a Python model runs; the server stays."""
    file = f"/{model}/1/model.py".encode()
    for child in children(server.pid):
        if file in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
            return
    raise AssertionError(f"the server has no process for {model}")


def _listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
