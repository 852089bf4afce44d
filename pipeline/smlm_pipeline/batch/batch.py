"""Reconstruct many films by one engine, some side by side; one that fails stops no other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Protocol

from smlm_pipeline.batch.jobs import BatchJob, check_replaced
from smlm_pipeline.batch.record import Outcome, Record
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.errors import ContractError, ServerError
from smlm_pipeline.job import Job
from smlm_pipeline.run.events import Events

_LOOK_S = 0.5
"""Pause between two looks for Ctrl-C, which does not wake a wait on every system."""

INTERRUPTED = "interrupted; the same command continues it"

Opening = Callable[[], AbstractContextManager[Engine]]
"""Opens the engine of a batch: starts a server, or connects to one."""


class Facts(Protocol):
    """The report of a film, of one channel or two."""

    def as_dict(self) -> dict[str, Any]:
        """All facts, for JSON."""
        ...


Work = Callable[[Job, Engine, Events], Facts]
"""Runs the job of a film."""

Failure = Callable[[Exception], tuple[str, int]]
"""The line and the exit code of an error."""


class BatchEvents(Protocol):
    """Receives the reports of a batch, from several threads."""

    def film(self, name: str) -> AbstractContextManager[Events]:
        """Begin a film: the receiver of its reports, until the block is left."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """Report the outcome of a film."""
        ...


class _LazyEngine(AbstractContextManager["_LazyEngine"]):
    """An engine that is opened with the first film, and again after one that failed by it."""

    def __init__(self, opening: Opening) -> None:
        self._opening, self._lock, self._open = opening, threading.Lock(), ExitStack()
        self._engine: Engine | None = None
        self.error: Exception | None = None

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ServerError, ContractError):  # each film has checked it already
            self._open.close()

    def get(self) -> Engine:
        """The open engine; raises the error of the last opening, if that failed."""
        with self._lock:
            if self.error is not None:
                raise self.error
            if self._engine is None:
                try:
                    self._engine = self._open.enter_context(self._opening())
                except Exception as error:
                    self.error = error
                    raise
            return self._engine

    def lose(self, engine: Engine) -> None:
        """Close an engine by whose fault a film failed, unless another thread has."""
        with self._lock:
            if self._engine is engine:
                self._engine = None
                with contextlib.suppress(ServerError, ContractError):
                    self._open.close()
                self._open = ExitStack()


def run_batch(
    jobs: Sequence[BatchJob],
    opening: Opening,
    record: Record,
    *,
    work: Work,
    films_at_once: int,
    failure: Failure,
    events: BatchEvents,
) -> list[Outcome]:
    """Run the jobs of a batch, and keep the outcome of each in the record.

    A film that fails stops no other. A server that fails is opened again for the next film; if
    that fails too, no further film is started.

    Parameters
    ----------
    jobs : sequence of BatchJob
        One for each film.
    opening : Callable
        Opens the one engine of all films; called when the first film needs it.
    record : Record
        Keeps each outcome in the folder of the results.
    work : Callable
        Runs one job by the engine; called from several threads.
    films_at_once : int
        Films that are computed side by side; each gets its share of the memory.
    failure : Callable
        Line and exit code of an error.
    events : BatchEvents
        Receives progress and outcomes.

    Returns
    -------
    list of Outcome
        One for each job, in their order.

    Raises
    ------
    KeyboardInterrupt or SystemExit
        If the batch was interrupted; running films have left their checkpoints, and the record
        lists them.
    OutputError
        If the record cannot be written.
    """
    with _LazyEngine(opening) as engine:
        run = _Run(jobs, engine, record, work, failure, events)
        return run.all(films_at_once)


class _Run:
    """One call of `run_batch`."""

    def __init__(
        self,
        jobs: Sequence[BatchJob],
        engine: _LazyEngine,
        record: Record,
        work: Work,
        failure: Failure,
        events: BatchEvents,
    ) -> None:
        self._jobs, self._engine, self._record = jobs, engine, record
        self._work, self._failure, self._events = work, failure, events
        self._stopped = threading.Event()

    def all(self, films_at_once: int) -> list[Outcome]:
        """Run all jobs; end the running ones in good order if this thread is interrupted."""
        outcomes: dict[int, Outcome] = {}
        with ThreadPoolExecutor(films_at_once, "film") as pool:
            futures = {pool.submit(self._one, job): place for place, job in enumerate(self._jobs)}
            try:
                for future in _as_completed(futures):
                    outcomes[futures[future]] = future.result()
                    self._ended(outcomes[futures[future]])
            except BaseException:
                self._stopped.set()
                for future in _as_completed(futures):
                    if futures[future] not in outcomes and future.exception() is None:
                        self._ended(future.result())
                raise
        return [outcomes[place] for place in range(len(self._jobs))]

    def _ended(self, outcome: Outcome) -> None:
        """Report an outcome; what was done before, or never begun, is in the record already."""
        if outcome.state in ("done", "failed"):
            self._record.keep(outcome)
        self._events.ended(outcome)

    def _one(self, planned: BatchJob) -> Outcome:
        """Run one job, in a thread of the pool."""
        name, record = planned.film.name, self._record
        before = Outcome(
            name,
            str(planned.film.image),
            "not started",
            made=record.made(name),
            report=record.report(name),
        )
        if planned.skipped:
            return replace(before, state="skipped", reason=planned.skipped)
        if self._stopped.is_set():
            return replace(before, reason=INTERRUPTED, exit_code=130)
        started_s = time.monotonic()
        outcome = self._outcome(planned, before)
        return replace(outcome, elapsed_s=round(time.monotonic() - started_s, 2))

    def _outcome(self, planned: BatchJob, before: Outcome) -> Outcome:
        """The outcome of a job; what an earlier call made stays known until this one begins."""
        try:
            planned.job.image.parent.mkdir(parents=True, exist_ok=True)
            check_replaced(planned, before.made)
            planned.job.check()
        except Exception as error:  # noqa: BLE001 - the door of each film: it stops no other
            return self._failed(before, error)
        try:
            engine = self._engine.get()
        except Exception as error:  # noqa: BLE001 - no film can begin
            return replace(self._failed(before, error), state="not started")
        begun = Outcome(before.film, before.image, "failed", INTERRUPTED, 130, made=planned.made)
        self._record.keep(begun)  # an unfinished result is known as this batch's
        try:
            with self._events.film(before.film) as events:
                stoppable = _Stoppable(events, self._stopped)
                report = self._work(planned.job, engine, stoppable)
        except KeyboardInterrupt:
            return begun
        except Exception as error:  # noqa: BLE001 - the door of each film: it stops no other
            if isinstance(error, (ServerError, ContractError)):
                self._engine.lose(engine)
            return self._failed(begun, error)
        return replace(begun, state="done", reason="", exit_code=0, report=_without_levels(report))

    def _failed(self, outcome: Outcome, error: Exception) -> Outcome:
        reason, code = self._failure(error)
        return replace(outcome, state="failed", reason=reason, exit_code=code)


class _Stoppable:
    """Events of a film, which end its run when the batch is interrupted."""

    def __init__(self, events: Events, stopped: threading.Event) -> None:
        self._events, self._stopped = events, stopped

    def stage(self, name: str, frames: int | None = None) -> None:
        """Pass a stage, or end the run."""
        self._end_if_stopped()
        self._events.stage(name, frames)

    def progress(self, frames: float) -> None:
        """Pass progress, or end the run."""
        self._end_if_stopped()
        self._events.progress(frames)

    def note(self, text: str) -> None:
        """Pass a note."""
        self._events.note(text)

    def warning(self, text: str) -> None:
        """Pass a warning; the same command, without --resume, continues a batch."""
        self._events.warning(text.replace(" with --resume", ""))

    def _end_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise KeyboardInterrupt


def _as_completed(futures: dict[Future[Outcome], int]) -> Iterator[Future[Outcome]]:
    """Futures as they end, with a look for signals now and then."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        yield from sorted(done, key=futures.__getitem__)


def _without_levels(report: Facts) -> dict[str, Any]:
    """A report for the record, which has one for each film."""
    facts = report.as_dict()
    for each in (facts, *facts.get("channels", {}).values()):
        each.pop("levels", None)
    return facts
