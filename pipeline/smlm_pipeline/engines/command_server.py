"""A server that a command line starts, as in the server image: its output is this process's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from smlm_pipeline.engines import fleet
from smlm_pipeline.engines.server_process import ServerProcess, require_running, undisturbed
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.errors import ServerError

START_TIMEOUT_S = 1800.0
"""Longest wait for a start: that on a GPU loads plans and records graphs."""

STOP_TIMEOUT_S = 75.0
"""Longest orderly stop: more than Triton's limit for pending requests, 60 s in the image."""

_GRPC_PORT = 8001
"""Triton's default."""


class EndedAtStartError(ServerError):
    """The command ended by itself before its server was ready; ``status`` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server ended with status {status} before it was ready")
        self.status = status


class CommandServer:
    """A ``tritonserver`` of a given command line.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; the last ``--grpc-address`` and ``--grpc-port`` count.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        host = _argument(command, "--grpc-address") or "127.0.0.1"
        port = _argument(command, "--grpc-port") or str(_GRPC_PORT)
        reached = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - it is compared
        self._address = Address(reached, int(port))
        self._process: ServerProcess | None = None

    @property
    def servers(self) -> Servers:
        """The server, as it is reached from here."""
        return Servers((self._address,))

    @property
    def process(self) -> ServerProcess:
        """The running server."""
        return require_running(self._process)

    def start(self, unwanted: threading.Event) -> None:
        """Start the server and wait until it is ready, or until it is unwanted.

        Raises
        ------
        EndedAtStartError
            If the command ends before.
        ServerError
            If the server is not ready in time.
        """
        self._process = ServerProcess(self._command, os.environ)
        try:
            self._wait_until_ready(self._process, unwanted)
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self, process: ServerProcess, unwanted: threading.Event) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and not unwanted.is_set():
            if process.status is not None:
                raise EndedAtStartError(process.status)
            if fleet.is_ready(self.servers):
                process.note_stubs()
                return
            time.sleep(0.2)
        raise ServerError(f"the server was not ready after {START_TIMEOUT_S:.0f} s")

    def stop(self) -> None:
        """Stop the server in order."""
        with undisturbed():
            if self._process is not None:
                self._process.stop(STOP_TIMEOUT_S)
                self._process = None

    def discard(self) -> None:
        """Kill a server that is broken."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def log_tail(self) -> str:
        """Return where its log is."""
        return "its log is above"


def _argument(command: Sequence[str], name: str) -> str | None:
    """The last value of an argument, as ``NAME=VALUE``."""
    values = [word.partition("=")[2] for word in command if word.startswith(f"{name}=")]
    return values[-1] if values else None
