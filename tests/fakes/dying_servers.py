"""Ways in which a real server goes away under its clients."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from smlm_pipeline.server import EmbeddedServer

PATIENCE_S = 60.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so, but not for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.02)


def kill(server: EmbeddedServer) -> None:
    """``kill -9``, of its Python models too: nothing of it answers any more."""
    os.killpg(server.pid, signal.SIGKILL)


def drain(server: EmbeddedServer) -> None:
    """SIGTERM; returns when the server has begun to stop."""
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not _listens(server.http_address), "the server to begin to stop")


def kill_stub(server: EmbeddedServer) -> None:
    """``kill -9`` of the process in which the network runs; the server stays."""
    for child in _children(server.pid):
        if b"/unet/1/model.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
            return
    raise AssertionError("the server has no process for the network")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
