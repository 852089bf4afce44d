"""A ``tritonserver`` as a group of processes: start it, see whether all of them live, end it.

Triton runs each Python model in a process of its own, a stub. It never starts a dead one again,
and still reports that it is ready; so these processes are looked at themselves.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from smlm_pipeline.engines.processor_queue import Thread, threads_of
from smlm_pipeline.errors import ServerError

_END_WITH_PARENT = """
import ctypes, os, signal, sys
set_parent_death_signal = 1
ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):  # it was killed before the signal was asked for
    sys.exit(128 + signal.SIGTERM)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""The child asks for that itself: code that runs between fork and exec of a process with threads,
such as gRPC's, may wait for ever for a lock that one of them held."""

_MODEL = re.compile(r"/([^/]+)/\d+/model\.py")
"""The model of a stub, in its command line."""

_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class _Process:
    """A process as the kernel states it (``man 5 proc``)."""

    pid: int
    state: str
    parent: int
    page_faults: int
    cpu_ticks: int
    started: int

    @property
    def ended(self) -> bool:
        """Whether it only waits to be reaped."""
        return self.state in "ZX"


class ServerProcess:
    """A running server with its stubs, in a process group of its own.

    When this process is killed, the kernel stops the server.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    environment : mapping
        Its environment.
    log : file, optional
        What receives its output; by default this process's own.

    Raises
    ------
    OSError
        If the program cannot be run.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes] | None = None
    ) -> None:
        if os.sep in command[0] and not os.access(command[0], os.X_OK):
            number = errno.EACCES if Path(command[0]).exists() else errno.ENOENT
            raise OSError(number, os.strerror(number), command[0])
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=None if log is None else subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        self._stubs: dict[int, tuple[int, str]] = {}

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the process group."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """The exit status of the server; None while it runs."""
        return self._popen.poll()

    def note_stubs(self) -> None:
        """Remember the stubs of a server that has just become ready: they are to live on."""
        found = [each for each in _processes() if each.parent == self.pid and not each.ended]
        self._stubs = {each.pid: (each.started, _model_of(each.pid)) for each in found}

    def fault(self) -> str | None:
        """Return what has died, in words; None while all live."""
        status = self.status
        if status is not None:
            return f"tritonserver ended with status {status}"
        for pid, (started, model) in self._stubs.items():
            found = _process(pid)
            if found is None or found.ended or found.started != started:
                return f"the process of {model} ended"
        return None

    def work(self) -> tuple[float, int]:
        """Processor time in seconds and pages read from disk so far, of the server and its stubs.

        Those of a server that hangs do not grow; those of one that is busy, or swapped out, do.
        They hardly grow either where other programs take all processors: see `threads`.
        """
        found = [each for pid in (self.pid, *self._stubs) if (each := _process(pid)) is not None]
        cpu_ticks = sum(each.cpu_ticks for each in found)
        return cpu_ticks / os.sysconf("SC_CLK_TCK"), sum(each.page_faults for each in found)

    def threads(self) -> dict[int, Thread]:
        """All threads of the server and its stubs; some hundred, which takes milliseconds."""
        return threads_of((self.pid, *self._stubs))

    def wait(self) -> int:
        """Wait for the server's end, and return its status."""
        return self._popen.wait()

    def stop(self, patience_s: float) -> None:
        """Stop the server in order within that time, and then kill what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(patience_s)
        self.kill()

    def kill(self) -> None:
        """Kill the server and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore the signals that end a program, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def end_orphans(name: str) -> None:
    """Kill the stubs of a server that is gone: their command lines hold the name of its folder.

    A stub whose server and client were killed together may never notice it.
    """
    for each in _processes():
        with contextlib.suppress(OSError):
            words = (_PROCESSES / str(each.pid) / "cmdline").read_bytes().split(b"\0")
            is_stub = words[0].endswith(b"triton_python_backend_stub")
            if is_stub and any(name.encode() in word for word in words):
                os.kill(each.pid, signal.SIGKILL)


def _processes() -> Iterator[_Process]:
    """All processes of this machine, as far as this user may see them."""
    for folder in _PROCESSES.iterdir():
        if folder.name.isdigit() and (found := _process(int(folder.name))) is not None:
            yield found


def _process(pid: int) -> _Process | None:
    """The state of a process; None if there is none."""
    try:
        text = (_PROCESSES / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # behind the name, which may hold anything
    return _Process(
        pid,
        state=fields[0],
        parent=int(fields[1]),
        page_faults=int(fields[9]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        started=int(fields[19]),
    )


def _model_of(pid: int) -> str:
    try:
        command = (_PROCESSES / str(pid) / "cmdline").read_text()
    except OSError:
        command = ""
    found = _MODEL.search(command)
    return found[1] if found else f"process {pid}"


def require_running(process: ServerProcess | None) -> ServerProcess:
    """Return the process of a server that was started.

    Raises
    ------
    ServerError
        If it was not.
    """
    if process is None:
        raise ServerError("the embedded server is not running; enter its context first")
    return process
