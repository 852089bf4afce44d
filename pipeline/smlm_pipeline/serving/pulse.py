"""Whether this process of Triton was stopped or its clock set back while it had a request.

Triton waits one second, by the wall clock, for a sign of life of a model's process, and then fails
the request. But it does not forget it: if the process only slept, the answer comes later and is
taken for that of the next request. Triton 2.51 reports success then, with the wrong data. So a
process that was stopped must not answer: it ends, and its server is started again.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

BEAT_S = 0.1
"""Pause between two beats."""

STALL_S = 0.6
"""Longest pause in which Triton saw a sign of life: it looks for one in 1 s, each 0.3 s apart."""

STEP_BACK_S = 0.2
"""Smallest step back of the clock that counts; corrections of its rate are far smaller."""

REMEMBERED_S = 3.0
"""Time after a stall in which the request that it met may still be on its way."""

STALLED_STATUS = 75
"""Exit status of a process that ends itself."""


class Pulse:
    """Beats in a thread of its own, from its construction to the end of the process."""

    def __init__(self) -> None:
        self._beat = _Moment.now()
        self._stalled_s = float("-inf")
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def stalled(self) -> bool:
        """Whether the process was stopped, or its clock set back, a moment ago or just now."""
        self._note()
        return time.monotonic() - self._stalled_s < REMEMBERED_S

    def _run(self) -> None:
        while True:
            time.sleep(BEAT_S)
            self._note()

    def _note(self) -> None:
        with self._lock:
            before, self._beat = self._beat, _Moment.now()
            if self._beat.is_stalled_since(before):
                self._stalled_s = self._beat.monotonic_s


class _Moment:
    """The clocks at one time."""

    def __init__(self, monotonic_s: float, wall_s: float, cpu_s: float) -> None:
        self.monotonic_s, self._wall_s, self._cpu_s = monotonic_s, wall_s, cpu_s

    @classmethod
    def now(cls) -> _Moment:
        return cls(time.monotonic(), time.time(), time.process_time())

    def is_stalled_since(self, before: _Moment) -> bool:
        """Whether neither this thread nor another one, which may keep it waiting, has run."""
        passed_s = self.monotonic_s - before.monotonic_s
        idle_s = passed_s - (self._cpu_s - before._cpu_s)
        stepped_s = self._wall_s - before._wall_s - passed_s
        return idle_s > STALL_S or stepped_s < -STEP_BACK_S


class Stub:
    """The process of a model in Triton, which ends rather than answer after a stall."""

    def __init__(self) -> None:
        self._pulse = Pulse() if _is_stub() else None

    def end_if_stalled(self) -> None:
        """End the process without an answer if it was stalled, so that its server is replaced."""
        if self._pulse is not None and self._pulse.stalled():
            os._exit(STALLED_STATUS)


def _is_stub() -> bool:
    """Whether Triton runs this process, and not a test."""
    try:
        return Path("/proc/self/comm").read_text().startswith("triton_python_b")
    except OSError:
        return False
