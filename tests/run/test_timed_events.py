"""Stages of a run are timed, and add up to the whole run."""

from __future__ import annotations

from collections.abc import Iterator

from smlm_pipeline.run.events import SILENCE
from smlm_pipeline.run.timed_events import WHOLE, TimedEvents


def _clock(*times_s: float) -> Iterator[float]:
    yield from times_s


def test_stages_add_up_to_the_whole_run() -> None:
    times = _clock(10, 11, 14, 15.5, 16, 20)
    events = TimedEvents(SILENCE, lambda: next(times))
    events.stage("starting", 30)
    events.stage("refining")
    events.stage("refining, step 1")
    events.stage("writing")
    found = events.timings_s()
    assert found == {"opening": 1, "starting": 3, "refining": 2, "writing": 4, WHOLE: 10}
