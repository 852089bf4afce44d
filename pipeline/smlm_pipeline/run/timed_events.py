"""Events that also state how long each stage of a run took."""

from __future__ import annotations

import time
from collections.abc import Callable

from smlm_pipeline.run.events import Events

WHOLE = "whole run"
"""Name of the sum of all stages."""


class TimedEvents:
    """Hands on the events of a run, and times its stages; the first one is opening the film.

    A stage lasts until the next one, so that all of them add up to the time that has passed.
    Steps of a stage (``refining, step 3``) count as that stage.

    Parameters
    ----------
    events : Events
        Receives all events.
    clock : Callable
        Seconds that pass; another one is for tests.
    """

    def __init__(self, events: Events, clock: Callable[[], float] = time.perf_counter) -> None:
        self._events, self._clock = events, clock
        self._since_s, self._stage = clock(), "opening"
        self._passed_s: dict[str, float] = {}

    def stage(self, name: str, frames: int | None = None) -> None:
        """Start a stage."""
        self._count()
        self._stage = name.split(", step ")[0]
        self._events.stage(name, frames)

    def progress(self, frames: float) -> None:
        """Count frames that are done."""
        self._events.progress(frames)

    def note(self, text: str) -> None:
        """Report a note."""
        self._events.note(text)

    def warning(self, text: str) -> None:
        """Report a warning."""
        self._events.warning(text)

    def timings_s(self) -> dict[str, float]:
        """Seconds of each stage until now, in their order, and of the `WHOLE` run."""
        self._count()
        stages = {name: round(passed_s, 3) for name, passed_s in self._passed_s.items()}
        return {**stages, WHOLE: round(sum(stages.values()), 3)}

    def _count(self) -> None:
        now_s = self._clock()
        passed_s = self._passed_s.get(self._stage, 0.0) + now_s - self._since_s
        self._passed_s[self._stage], self._since_s = passed_s, now_s
