"""Processes that tests start, watch and end."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CLIENT = [sys.executable, "-c", "from smlm_pipeline.cli.app import app; app()"]
"""``recon-client`` as a process of its own."""

PATIENCE_S = 90.0
"""Longest wait for what takes seconds on an idle machine."""

_END_WITH_PARENT = """
import ctypes, os, signal, sys
set_parent_death_signal = 1
ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):  # it was killed before the signal was asked for
    sys.exit(128 + signal.SIGTERM)
for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):  # ignored under nohup; by Python
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def end_with_parent(command: Sequence[str | Path]) -> list[str]:
    """A command whose program gets SIGTERM when pytest is killed.

    The child asks for that itself: code that runs between fork and exec of a process with threads,
    such as gRPC's, may wait for ever for a lock that one of them held.
    """
    words = [str(word) for word in command]
    if sys.platform != "linux":
        return words
    return [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *words]


@contextlib.contextmanager
def started(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that ends with the block, also if the test fails or pytest is killed."""
    with subprocess.Popen(end_with_parent(command), **{"text": True, **options}) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=PATIENCE_S)
                process.kill()


def finished(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """A program that has run to its end, with its output as text."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with started(command, **options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Poll a condition until it holds, for at most ``PATIENCE_S``."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    """Processes that a process started; none if it is gone."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def free_port() -> int:
    """A free port of the loopback, below those that the kernel hands out to others meanwhile."""
    for port in random.sample(range(15_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("none of 100 ports is free")
