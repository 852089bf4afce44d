"""Two channels of a film in, one image with both out: a run for each, then their registration."""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import replace
from pathlib import Path

from smlm_pipeline.atomic_files import remove, remove_unfinished
from smlm_pipeline.channels.registering import Registration, by_beads, by_images, map_of_beads
from smlm_pipeline.channels.report import ChannelsDryRun, ChannelsReport
from smlm_pipeline.channels.tables import write_tables
from smlm_pipeline.engines.opening import Engine, EngineChoice
from smlm_pipeline.errors import SettingError
from smlm_pipeline.job import Job
from smlm_pipeline.output import ome_tiff, ome_zarr
from smlm_pipeline.output.picture import write_merged_picture
from smlm_pipeline.reconstruction import Reconstruction, engine_opened, reconstruct
from smlm_pipeline.registration.parts import Image
from smlm_pipeline.registration.registered import Registered
from smlm_pipeline.report import Report, report, result_notes
from smlm_pipeline.run.canvas import Canvas, open_canvas
from smlm_pipeline.run.checkpoint import FileCheckpoint
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.submission import opened_film, planned


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
        As in `submission.run_job`.

    Raises
    ------
    ReconError
        The subclass states what failed. Nothing has been written then but checkpoints; only if
        the picture cannot be written, the image is kept.
    """
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        both = _Both(job, stack)
        if job.resume:  # so the earlier run has ended
            for path in (*job.results, *job.checkpoints):
                remove_unfinished(path)
        notes = both.notes(events)
        folder = job.image.resolve().parent  # sums and molecules are closed after the checkpoints
        canvases = [stack.enter_context(open_canvas(plan, folder)) for plan in both.plans]
        sinks = both.sinks(stack)
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
            results = [
                _result(both, number, alike, *kept, events)
                for number, kept in enumerate(zip(canvases, checkpoints, sinks, strict=True))
            ]
        events.stage("registering")
        registration = both.registration(results)
        events.stage("writing")
        elapsed_s = time.perf_counter() - started
        facts = both.report(results, registration, notes, sinks, events, elapsed_s)
        _write(job, both.names, results, registration, facts)
        if job.molecules is not None:
            kept = [sink for sink in sinks if sink is not None]
            corners = [film.corner for film in both.films]
            write_tables(job, kept, corners, registration, list(facts.channels.values()))
        for checkpoint in checkpoints:
            checkpoint.results_are_written()
    return facts


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
        of_each = [self.job.notes(film) for film in self.films]
        urgent = {note for film in self.films for note in self.job.warnings(film)}
        stated: dict[str, bool] = {}
        for number, (name, notes) in enumerate(zip(self.names, of_each, strict=True)):
            for note in notes:
                common = note in of_each[1 - number]
                stated.setdefault(note if common else f"{name}: {note}", note in urgent)
        for note, warns in stated.items():
            (events.warning if warns else events.note)(note)
        return list(stated)

    def sinks(self, stack: contextlib.ExitStack) -> list[MoleculeSink | None]:
        """The sink of the molecules of each channel, if tables are to be written."""
        if self.job.molecules is None:
            return [None, None]
        least = self.job.molecules_probability
        return [
            stack.enter_context(MoleculeSink(path, least, film.corner))
            for path, film in zip(self.job.checkpoints, self.films, strict=True)
        ]

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
        said = list(notes)
        for name, job, film, result, sink in zip(
            self.names, self.jobs, self.films, results, sinks, strict=True
        ):
            rows = None if sink is None else sink.count(job.molecules_probability)
            reports[name] = report(result, job, film, [], rows)
            found = [f"{name}: {note}" for note in result_notes(result)]
            for note in found:
                (events.warning if result.missing.chunks else events.note)(note)
            said += [f"{name}: {note}" for note in reports[name].notes]
        for note in registration.notes:
            events.note(note)
        for note in registration.warnings:
            events.warning(note)
        said += [*registration.notes, *registration.warnings]
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


def _result(
    both: _Both,
    number: int,
    engine: Engine,
    canvas: Canvas,
    checkpoint: FileCheckpoint,
    molecules: MoleculeSink | None,
    events: Events,
) -> Reconstruction:
    """Run one of the channels; the precision is that with which the engine was opened."""
    return reconstruct(
        both.films[number],
        engine,
        replace(both.job.settings, precision=None),
        plan=both.plans[number],
        canvas=canvas,
        checkpoint=checkpoint,
        molecules=molecules,
        pixel_size_nm=both.job.pixel_size_nm,
        events=ChannelEvents(both.names[number], events),
    )


def _write(
    job: Job,
    names: tuple[str, str],
    results: list[Reconstruction],
    registration: Registration,
    facts: ChannelsReport,
) -> None:
    """Write the image first: an hour of computing is not lost for a picture."""
    sr_nm = facts.sr_pixel_size_nm

    def registered(one: Image, two: Image) -> dict[str, Image]:
        affine = registration.affine
        moved = two if affine is None else Registered(two, affine, sr_nm)
        return {names[0]: one, names[1]: moved}

    write = ome_zarr.write_channels if job.is_zarr else ome_tiff.write_channels
    acquired = facts.channels[names[0]].acquired
    write_images = functools.partial(
        write, sr_pixel_size_nm=sr_nm, name=Path(facts.film).name, acquired=acquired
    )
    shown = registered(*(result.shown for result in results))
    write_images(job.image, shown, provenance=facts.provenance())
    if results[0].plan.refines:
        plain = registered(*(result.pixels for result in results))
        write_images(job.sum_image, plain, provenance=facts.provenance_of_sums())
    elif job.overwrite:  # that of an earlier run is not this image's
        remove(job.sum_image)
    edge_max_px = min(result.plan.picture_edge_px for result in results)
    write_merged_picture(
        job.picture, shown, sr_pixel_size_nm=sr_nm, edge_max_px=edge_max_px, style=job.style
    )
