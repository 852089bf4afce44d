"""``recon-client gate`` before a server of a test."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from fakes.processes import CLIENT, free_port, started


@dataclass(frozen=True)
class RunningGate:
    """A gate in a process of its own; ``page`` is the address of its counts."""

    process: subprocess.Popen[str]
    address: str
    page: str


@contextlib.contextmanager
def gate_before(server: str, *options: str) -> Iterator[RunningGate]:
    """Run a gate before a server until the end of the block."""
    address, page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = [*CLIENT, "gate", "--server", server, "--listen", address, "--metrics", page]
    with started([*command, *options], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(f"recon-client: gate at {address} before "), line
        yield RunningGate(process, address, page)
