"""Whether the threads of a server wait for a processor, as the kernel counts it.

A server beside programs that take all processors does as little work as one that hangs; but its
threads want to run, where those of one that hangs sleep or are stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

KEPT_WAITING_SHARE = 0.5
"""Share of a time for which a thread waits that is kept from its work: on a machine that is merely
busy, one that looks for something several times a second waits for less than a tenth."""

_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Thread:
    """A thread at one time.

    ``is_runnable`` is whether it runs, or waits for a processor or a disk; ``waited_s`` is its
    time in the queues for a processor until it last ran, ``turns`` how often it has run.
    """

    is_runnable: bool
    waited_s: float
    turns: int


def threads_of(pids: Iterable[int]) -> dict[int, Thread]:
    """All threads of these processes, by their ids; none where the kernel does not count so."""
    found: dict[int, Thread] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for folder in (_PROCESSES / str(pid) / "task").iterdir():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found[int(folder.name)] = _thread(folder)
    return found


def _thread(folder: Path) -> Thread:
    _, waited_ns, turns = (folder / "schedstat").read_text().split()
    state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    return Thread(state in "RD", int(waited_ns) / 1e9, int(turns))


def kept_waiting(
    before: Mapping[int, Thread], after: Mapping[int, Thread], passed_s: float
) -> bool:
    """Whether a thread waited for a processor for most of the time between two looks.

    Parameters
    ----------
    before, after : mapping of int to Thread
        The threads at both ends.
    passed_s : float
        The time between.

    Returns
    -------
    bool
        Whether one has waited for ``KEPT_WAITING_SHARE`` of it, or still waits since the first
        look: the kernel counts that only when the thread runs.
    """
    for name, first in before.items():
        last = after.get(name)
        if last is None:
            continue
        waits_on = first.is_runnable and last.is_runnable and last.turns == first.turns
        if waits_on or last.waited_s - first.waited_s > KEPT_WAITING_SHARE * passed_s:
            return True
    return False
