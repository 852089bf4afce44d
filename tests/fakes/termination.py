"""End a test run by one signal, whatever a test does at that moment.

Commands that tests run in-process install handlers of their own: without this plugin, pytest
would take a SIGTERM for the end of that command, and continue with the next test.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import Generator
from types import FrameType
from typing import Any

import pytest

ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class Termination:
    """Counts the signals that end a program, and ends the session after the test they interrupt.

    Python writes each signal to its wake-up socket, whichever handler is installed. Signals that
    a test sends to this process are part of the test.
    """

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._from_tests: Counter[int] = Counter()
        self._received: Counter[int] = Counter()
        self._kill, self._set_handler = os.kill, signal.signal

    def install(self) -> None:
        """Watch the signals; those without a handler end the session at once."""
        for end in (self._near, self._far):
            end.setblocking(False)
        signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end_session)
        os.register_at_fork(after_in_child=_forget)
        os.kill = self._count_kill
        signal.signal = self._never_ignore  # type: ignore[assignment]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """End the session if a signal came while a handler of the program was installed."""
        result = yield
        with contextlib.suppress(BlockingIOError):
            self._received.update(self._near.recv(1 << 16))
        for number in ENDING:
            if self._received[number] > self._from_tests[number]:
                _end_session(number, None)
        self._received.clear()
        self._from_tests.clear()
        return result

    def _count_kill(self, pid: int, number: int) -> None:
        if pid == os.getpid():
            self._from_tests[number] += 1
        self._kill(pid, number)

    def _never_ignore(self, number: int, handler: Any) -> Any:
        """Let a handler that does nothing stand for SIG_IGN, whose signals the kernel drops."""
        ignored = number in ENDING and handler is signal.SIG_IGN
        return self._set_handler(number, _ignore if ignored else handler)


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run's signals."""
    termination = Termination()
    config.pluginmanager.register(termination)
    termination.install()


def _end_session(number: int, _frame: FrameType | None) -> None:
    pytest.exit(f"ended by {signal.Signals(number).name}", returncode=128 + number)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass


def _forget() -> None:
    """In a forked child: its signals are not this process's."""
    signal.set_wakeup_fd(-1)
    for number in ENDING:
        if signal.getsignal(number) in (_end_session, _ignore):
            signal.signal(number, signal.SIG_DFL)
