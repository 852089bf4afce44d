"""Whether a server works, by its processes and by canaries that it is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

from smlm_pipeline.engines import canary, fleet
from smlm_pipeline.engines.processor_queue import kept_waiting
from smlm_pipeline.engines.server_process import ServerProcess
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import (
    DeadModelError,
    ReconError,
    ServerFullError,
    SwappedAnswerError,
    TransientServerError,
)

CANARY_EVERY_S = 5.0
"""Pause between two canaries to a server of which no client complains."""

HANG_S = 5.0
"""Silence of a server that does no work though it could, after which it hangs."""

WORK_LEAST_S = 0.2
"""Processor time within ``HANG_S`` of a server that works; one that waits uses a tenth of it."""

CANARY_TIMEOUT_S = 600.0
"""Silence after which a server hangs however busy it is: clients have given up by then."""

SAMPLE_S = 1.0
"""Time between two looks at the threads of a server that owes an answer."""

PAUSE_S = 2.0
"""Pause of the watcher itself, as of a suspended machine, that does not count as silence."""


@dataclass(frozen=True)
class _Answer:
    """The answer to a canary; ``refusal`` is what it lacks."""

    model: str
    refusal: ReconError | None = None


class _Silence:
    """A server owes an answer: for how long it could have given it, from now on.

    Time in which it gets no processor does not count. ``could_s`` is the other time, ``idled_s``
    that since it last did some work. Both take some seconds longer than the clock to grow at all.
    """

    def __init__(self, process: ServerProcess, now_s: float) -> None:
        self._process = process
        self.could_s = self.idled_s = 0.0
        self._sample(now_s)

    def note(self, now_s: float) -> None:
        """Look at the server, if that was not done a moment ago."""
        passed_s, before, (cpu_s, pages) = now_s - self._now_s, self._threads, self._work
        if passed_s < SAMPLE_S:
            return
        self._sample(now_s)
        if passed_s > PAUSE_S or kept_waiting(before, self._threads, passed_s):
            return
        self.could_s += passed_s
        last_cpu_s, last_pages = self._work
        works = last_cpu_s - cpu_s >= WORK_LEAST_S * passed_s / HANG_S or last_pages > pages
        self.idled_s = 0.0 if works else self.idled_s + passed_s

    def _sample(self, now_s: float) -> None:
        self._now_s, self._work = now_s, self._process.work()
        self._threads = self._process.threads()


class Health:
    """Looks at one server, from its start to its end.

    Parameters
    ----------
    process : ServerProcess
        Its processes.
    servers : Servers
        Its address.
    models : sequence of str
        The ensembles that are sent canaries, in turn; without any, its processes alone tell.
    """

    def __init__(self, process: ServerProcess, servers: Servers, models: Sequence[str]) -> None:
        self._process, self._servers = process, servers
        self._models: Iterator[str] | None = cycle(models) if models else None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="canary")
        self._canary: Future[_Answer] | None = None
        self._sent_s = self._due_s = self.sound_s = time.monotonic()
        self._silence: _Silence | None = None
        self._passed: set[str] = set()

    def close(self) -> None:
        """Ask no more; a pending canary ends with the server."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def fault(self, *, doubted: bool) -> str | None:
        """Look, and return what is wrong with the server; None if nothing is known to be.

        ``sound_s`` is then the latest time at which it is known to have worked.

        Parameters
        ----------
        doubted : bool
            Whether a client complains: a canary is sent at once.
        """
        now_s = time.monotonic()
        dead = self._process.fault()
        if dead is not None:
            return dead
        if self._models is None:
            self.sound_s = now_s
            return None
        if self._silence is not None:
            self._silence.note(now_s)
        if self._canary is not None:
            return self._fault_of_canary(self._canary, now_s)
        if doubted or now_s >= self._due_s:
            self._send(next(self._models), now_s)
        return None

    def _send(self, model: str, now_s: float) -> None:
        self._sent_s, self._due_s = now_s, now_s + CANARY_EVERY_S
        self._canary = self._pool.submit(_ask, self._servers, model)

    def _fault_of_canary(self, pending: Future[_Answer], now_s: float) -> str | None:
        self._silence = silence = self._silence or _Silence(self._process, now_s)
        if not pending.done():
            hangs = silence.idled_s >= HANG_S
            return (
                f"no answer for {now_s - self._sent_s:.0f} s, without any work" if hangs else None
            )
        self._canary = None
        try:
            answer = pending.result()
        except (DeadModelError, SwappedAnswerError) as error:
            return str(error)  # answers stay one request behind until it is started again
        except TransientServerError as error:
            return str(error) if silence.could_s >= HANG_S else None
        self._silence = None
        if answer.refusal is None:
            self._passed.add(answer.model)
        elif answer.model in self._passed:  # it may be the answer to another request
            return str(answer.refusal)
        self.sound_s = self._sent_s
        return None


def _ask(servers: Servers, model: str) -> _Answer:
    """Send a canary, and return what the server answered.

    Raises
    ------
    TransientServerError
        If no answer came, or the process of a model has died.
    """
    with fleet.connect(servers, model, timeout_s=CANARY_TIMEOUT_S) as transport:
        try:
            canary.ask(transport)
        except ServerFullError:
            return _Answer(model)
        except TransientServerError:
            raise
        except ReconError as error:  # as a network of the user's may, from the first one on
            return _Answer(model, error)
        return _Answer(model)
