"""Two channels of a film in, one image with both out: a run for each, then their registration."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from smlm_pipeline.atomic_files import remove_unfinished
from smlm_pipeline.channels.channel_run import ChannelRun
from smlm_pipeline.channels.registering import Registration, by_beads, by_images, map_of_beads
from smlm_pipeline.channels.report import ChannelsDryRun, ChannelsReport
from smlm_pipeline.channels.writing import write_results
from smlm_pipeline.engines.opening import Engine, EngineChoice
from smlm_pipeline.errors import SettingError
from smlm_pipeline.job import Job
from smlm_pipeline.reconstruction import Reconstruction, engine_opened, reconstruct
from smlm_pipeline.report import Report, report, result_notes
from smlm_pipeline.run.canvas import Canvas, open_canvas
from smlm_pipeline.run.checkpoint import FileCheckpoint
from smlm_pipeline.run.drifting import drift_found
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.finish import Finish
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.timed_events import TimedEvents
from smlm_pipeline.submission.submit import opened_film, planned


class ChannelEvents:
    """Events of the run of one channel, whose notes name it."""

    def __init__(self, name: str, events: Events) -> None:
        self._name, self._events = name, events

    def stage(self, name: str, frames: int | None = None) -> None:
        """Start a stage."""
        self._events.stage(f"{name} {self._name}", frames)

    def progress(self, frames: float) -> None:
        """Count frames that are done."""
        self._events.progress(frames)

    def note(self, text: str) -> None:
        """Report a note on the channel."""
        self._events.note(f"{self._name}: {text}")

    def warning(self, text: str) -> None:
        """Report a warning on the channel."""
        self._events.warning(f"{self._name}: {text}")


def dry_run_channels(job: Job) -> ChannelsDryRun:
    """Make the checks of `run_channels` before its work, and plan the run of each channel.

    Raises
    ------
    ReconError
        As `run_channels` does, before an engine is opened.
    """
    with contextlib.ExitStack() as stack:
        both = _Both(job, stack)
        plans = [
            planned(each, film, both.memory_bytes)
            for each, film in zip(job.of_channels, both.films, strict=True)
        ]
    return ChannelsDryRun(dict(zip(both.names, plans, strict=True)))


def run_channels(
    job: Job,
    engine: EngineChoice,
    *,
    model_repository: Path | None = None,
    events: Events = SILENCE,
) -> ChannelsReport:
    """Reconstruct both channels of a film, register the second to the first, and write one image.

    Each channel has levels, a plan and a checkpoint of its own; the two share an engine, and half
    of the memory each. A run that is interrupted leaves the checkpoints of both.

    Parameters
    ----------
    job : Job
        With two channels.
    engine, model_repository, events
        As in `submission.submit.run_job`.

    Raises
    ------
    ReconError
        The subclass states what failed. Nothing has been written then but checkpoints; only if
        the picture cannot be written, the image is kept.
    """
    started, events = time.perf_counter(), TimedEvents(events)
    with contextlib.ExitStack() as stack:
        both = _Both(job, stack)
        if job.resume:  # so the earlier run has ended
            for path in (*job.results, *job.checkpoints):
                remove_unfinished(path)
        notes = both.notes(events)
        folder = job.image.resolve().parent  # sums and molecules are closed after the checkpoints
        canvases = [stack.enter_context(open_canvas(plan, folder)) for plan in both.plans]
        sinks = both.sinks(stack)
        finishes = both.finishes(sinks)
        every_s = job.settings.checkpoint_every_s
        checkpoints = [
            stack.enter_context(
                FileCheckpoint(path, resume=job.resume, every_s=every_s, events=events)
            )
            for path in job.checkpoints
        ]
        events.stage("starting", sum(film.frame_count for film in both.films))
        with engine_opened(engine, job.settings, model_repository, events) as opened:
            notes += opened.notes
            alike = replace(opened, notes=())
            kept = list(zip(canvases, checkpoints, sinks, finishes, strict=True))
            sums = [_sum(both, number, alike, *each, events) for number, each in enumerate(kept)]
        results = _finished(both, sums, finishes, events)
        events.stage("registering")
        registration = both.registration(results)
        events.stage("writing")
        elapsed_s = time.perf_counter() - started
        facts = both.report(results, registration, notes, sinks, events, elapsed_s)
        write_results(job, both.runs(results, sinks, facts), registration, facts, events)
        for checkpoint in checkpoints:
            checkpoint.results_are_written()
    return replace(facts, timings_s=events.timings_s())


class _Both:
    """Both channels of a job, open and checked; they are closed with the stack."""

    def __init__(self, job: Job, stack: contextlib.ExitStack) -> None:
        if job.channels is None:
            raise SettingError("the job has one channel; expected two channels of a film")
        self.job, self.channels, self.names = job, job.channels, job.channels.names
        self.memory_bytes = memory_limit_bytes(job.settings) // 2
        self.jobs = job.of_channels
        self.films = [
            stack.enter_context(opened_film(each, self.memory_bytes)) for each in self.jobs
        ]
        job.check()
        self.pixel_nm = job.camera_pixel_nm(self.films[0])
        self._beads = map_of_beads(job, self.channels, self.pixel_nm, self.films[0])
        self.plans = [plan_run(film, job.settings, self.memory_bytes) for film in self.films]

    def notes(self, events: Events) -> list[str]:
        """The notes on the film: those on both channels once, others with the channel's name."""
        urgent = {note for film in self.films for note in self.job.warnings(film)}
        return self._said([self.job.notes(film) for film in self.films], urgent, events)

    def _said(self, of_each: list[list[str]], urgent: Container[str], events: Events) -> list[str]:
        """Say the notes on each channel, and return them as they were said."""
        named = self._named(of_each)
        for stated, note in named.items():
            (events.warning if note in urgent else events.note)(stated)
        return list(named)

    def _named(self, of_each: list[list[str]]) -> dict[str, str]:
        """Notes as they are said: those on both channels once, others with the channel's name."""
        named: dict[str, str] = {}
        for number, (name, notes) in enumerate(zip(self.names, of_each, strict=True)):
            for note in notes:
                named[note if note in of_each[1 - number] else f"{name}: {note}"] = note
        return named

    def sinks(self, stack: contextlib.ExitStack) -> list[MoleculeSink | None]:
        """The sink of the molecules of each channel, for its table and for drift."""
        if self.job.molecules is None and not self.job.settings.corrects_drift:
            return [None, None]
        least = self.job.probability_kept
        return [
            stack.enter_context(MoleculeSink(path, least, film.corner))
            for path, film in zip(self.job.checkpoints, self.films, strict=True)
        ]

    def finishes(self, sinks: list[MoleculeSink | None]) -> list[Finish]:
        """What finishes the run of each channel, when both are summed."""
        settings, pixel_nm = self.job.settings, self.job.pixel_size_nm
        return [
            Finish(film, settings, pixel_nm, sink, later=True)
            for film, sink in zip(self.films, sinks, strict=True)
        ]

    def runs(
        self,
        results: list[Reconstruction],
        sinks: list[MoleculeSink | None],
        facts: ChannelsReport,
    ) -> list[ChannelRun]:
        """What there is to write of each channel."""
        reports = facts.channels.values()
        parts = zip(self.jobs, self.films, results, sinks, reports, strict=True)
        return [ChannelRun(*each) for each in parts]

    def registration(self, results: list[Reconstruction]) -> Registration:
        """The registration of the second channel to the first."""
        if self._beads is not None:
            size_px = self.films[0].height_px, self.films[0].width_px
            field_nm = size_px[0] * self.pixel_nm, size_px[1] * self.pixel_nm
            return by_beads(self._beads, self.channels, field_nm)
        one, two = (result.pixels for result in results)
        return by_images(one, two, self.channels, self.pixel_nm, self.job.settings.zoom)

    def report(
        self,
        results: list[Reconstruction],
        registration: Registration,
        notes: list[str],
        sinks: list[MoleculeSink | None],
        events: Events,
        elapsed_s: float,
    ) -> ChannelsReport:
        """The facts of both runs; what a user should know of the results is said."""
        reports: dict[str, Report] = {}
        for name, job, film, result, sink in zip(
            self.names, self.jobs, self.films, results, sinks, strict=True
        ):
            rows = sink.count(job.molecules_probability) if sink and job.molecules else None
            reports[name] = replace(report(result, job, film, [], rows), channel=name)
        found = [result_notes(result) for result in results]
        urgent = {
            note for result in results if result.missing.chunks for note in result_notes(result)
        }
        self._said(found, urgent, events)
        for note in registration.notes:
            events.note(note)
        for note in registration.warnings:
            events.warning(note)
        on_each = self._named([each.notes for each in reports.values()])
        said = [*notes, *on_each, *registration.notes, *registration.warnings]
        first = reports[self.names[0]]
        return ChannelsReport(
            film=first.film,
            image=first.image,
            sum_image=first.sum_image,
            picture=first.picture,
            split=self.channels.split,
            channels=reports,
            registration=registration.facts,
            sr_pixel_size_nm=first.sr_pixel_size_nm,
            elapsed_s=elapsed_s,
            notes=said,
        )


def _sum(
    both: _Both,
    number: int,
    engine: Engine,
    canvas: Canvas,
    checkpoint: FileCheckpoint,
    molecules: MoleculeSink | None,
    finish: Finish,
    events: Events,
) -> Reconstruction:
    """Sum one of the channels; the precision is that with which the engine was opened."""
    return reconstruct(
        both.films[number],
        engine,
        replace(both.job.settings, precision=None),
        plan=both.plans[number],
        canvas=canvas,
        checkpoint=checkpoint,
        molecules=molecules,
        pixel_size_nm=both.job.pixel_size_nm,
        finish=finish,
        events=ChannelEvents(both.names[number], events),
    )


def _finished(
    both: _Both, sums: list[Reconstruction], finishes: list[Finish], events: Events
) -> list[Reconstruction]:
    """Finish both channels, with one drift: there is one stage."""
    drifting = [each for finish in finishes if (each := finish.drifting) is not None]
    drift = None
    if drifting:
        events.stage("estimating drift")
        drift = drift_found(drifting)
    return [
        replace(result, **vars(finish.complete(ChannelEvents(name, events), drift)))
        for name, result, finish in zip(both.names, sums, finishes, strict=True)
    ]
