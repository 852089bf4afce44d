"""A submission: a film's file in; an image, a picture and a report out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from smlm_pipeline.atomic_files import remove_unfinished
from smlm_pipeline.dry_run import DryRun
from smlm_pipeline.engines.opening import EngineChoice
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.job import Job
from smlm_pipeline.output.image_names import image_path
from smlm_pipeline.output.picture import write_picture
from smlm_pipeline.output.picture_style import DEFAULT_STYLE, PictureStyle
from smlm_pipeline.reconstruction import Reconstruction, reconstruct
from smlm_pipeline.report import Report, missing_parts, report, result_notes
from smlm_pipeline.run.canvas import open_canvas
from smlm_pipeline.run.checkpoint import Checkpoint, FileCheckpoint
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.molecules import MoleculeSink, columns_of
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.timed_events import TimedEvents
from smlm_pipeline.settings import DEFAULTS, MOLECULES_PROBABILITY, Settings
from smlm_pipeline.submission.beside import write_drift_files, write_measurements, write_report_page
from smlm_pipeline.submission.images import write_images
from smlm_pipeline.tables.at_rest import at_rest
from smlm_pipeline.tables.camera_units import CameraUnits
from smlm_pipeline.tables.formats import write_table
from smlm_pipeline.tables.rows import TableFacts


def submit(
    film: str | Path,
    output: str | Path | None = None,
    *,
    engine: EngineChoice = "triton",
    model_repository: Path | None = None,
    settings: Settings = DEFAULTS,
    selection: Selection | None = None,
    pixel_size_nm: float | None = None,
    molecules: str | Path | None = None,
    molecules_probability: float = MOLECULES_PROBABILITY,
    camera: CameraUnits | None = None,
    style: PictureStyle = DEFAULT_STYLE,
    page: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    events: Events = SILENCE,
) -> Report:
    """Reconstruct the image of a film's file and write it, as ``recon-client submit`` does.

    Parameters
    ----------
    film : str or Path
        The film: a file, or the folder of one.
    output : str or Path, optional
        The image to write (OME-TIFF, or OME-Zarr by its ending ``.ome.zarr``), or its folder; by
        default ``FILM.sr.ome.tif`` beside the film.
    engine : str, Engine or Transport
        ``"triton"`` starts the embedded server, ``"local"`` runs the network in this process,
        ``"HOST:PORT[,...]"`` names running servers; or an engine that is open.
    model_repository : Path, optional
        The networks of an engine that is started here.
    settings : Settings
        How the film is cut, sent and drawn.
    selection : Selection, optional
        The part of the file to take; by default all.
    pixel_size_nm : float, optional
        Edge of a camera pixel in the sample, in nm; by default the file's.
    molecules : str or Path, optional
        The table of molecules to write; its ending chooses the format (docs/tables.md).
    molecules_probability : float
        Least probability of a molecule in the table.
    camera : CameraUnits, optional
        Gain and offset of the camera, for photons in the table; by default it has ADU.
    style : PictureStyle
        Colours, contrast and resolution of the picture.
    page : bool
        Whether to write the report as a page too (docs/report.md), with an error map.
    overwrite, resume : bool
        Replace an earlier result; continue an interrupted run from its checkpoint.
    events : Events
        Receives stages, progress, notes and warnings; by default they are not shown.

    Returns
    -------
    Report
        The facts of the run.

    Raises
    ------
    ReconError
        The subclass states what failed. Nothing has been written then but the checkpoint;
        only if the picture or the table cannot be written, the image is kept.

    Examples
    --------
    >>> report = submit("stack.tif", engine="local", overwrite=True)  # doctest: +SKIP
    >>> report.image  # doctest: +SKIP
    'stack.sr.ome.tif'
    """
    path = Path(film)
    image = image_path(path, None if output is None else Path(output))
    chosen = selection or Selection()
    table = None if molecules is None else Path(molecules)
    settings = replace(settings, error_map=settings.error_map or page)
    job = Job(
        path,
        image,
        settings,
        pixel_size_nm,
        chosen,
        overwrite,
        resume,
        table,
        molecules_probability,
        camera,
        style,
        page,
    )
    return run_job(job, engine, model_repository=model_repository, events=events)


def dry_run(job: Job) -> DryRun:
    """Open the film, make the checks of `submit` before its work, and plan the run.

    Raises
    ------
    ReconError
        As `submit` does, before an engine is opened.
    """
    memory_bytes = memory_limit_bytes(job.settings)
    folder = job.image.parent
    made = not folder.exists()
    try:
        with opened_film(job, memory_bytes) as film:
            job.check()
            return planned(job, film, memory_bytes)
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def planned(job: Job, film: Film, memory_bytes: int) -> DryRun:
    """Plan the run of an open film.

    Raises
    ------
    SettingError
        If it needs more memory.
    """
    plan = plan_run(film, job.settings, memory_bytes)
    if job.part is not None:
        plan = plan.of_part(job.part.of(film.frame_count))
    return DryRun(
        film=str(film.path),
        image=str(job.image),
        molecules=None if job.molecules is None else str(job.molecules),
        plan=plan,
        pixel_size_nm=job.camera_pixel_nm(film),
        selection=asdict(film.selection),
        missing=missing_parts(film),
        warnings=job.warnings(film),
        notes=job.notes(film),
        part=None if job.part is None else str(job.part.path),
    )


def opened_film(job: Job, memory_bytes: int) -> Film:
    """Open the film of a job, under its settings and the memory that it may use."""
    return open_film(
        job.film,
        job.selection,
        allow_partial=job.settings.allow_partial,
        memory_bytes=memory_bytes,
    )


def run_job(
    job: Job,
    engine: EngineChoice,
    *,
    model_repository: Path | None = None,
    events: Events = SILENCE,
) -> Report:
    """Run a job; see `submit`.

    The film is opened and checked before the engine is, so that a bad file is refused at once.
    """
    timed = TimedEvents(events)
    with job_run(job, engine, model_repository=model_repository, events=timed) as run:
        return write_results(job, run, timed)


@dataclass(frozen=True)
class JobRun:
    """The reconstruction of a job, before its results are written.

    ``notes`` are those on the film, ``checkpoint`` is to be removed when the results are written.
    """

    film: Film
    result: Reconstruction
    molecules: MoleculeSink | None
    checkpoint: FileCheckpoint
    notes: list[str]


@contextmanager
def job_run(
    job: Job,
    engine: EngineChoice,
    *,
    model_repository: Path | None = None,
    events: Events = SILENCE,
    merged: Checkpoint | None = None,
    chunk_frames: int | None = None,
) -> Iterator[JobRun]:
    """Reconstruct the film of a job, or the part of it that the job names.

    Parameters
    ----------
    job, engine, model_repository, events
        See `submit`.
    merged : Checkpoint, optional
        Sums that were made before, in place of the job's own checkpoint.
    chunk_frames : int, optional
        Frames of a request of these sums.
    """
    settings = job.settings
    memory_bytes = memory_limit_bytes(settings)
    with opened_film(job, memory_bytes) as film:
        job.check()
        if job.resume:  # so the earlier run has ended
            for path in (*job.results, job.checkpoint):
                remove_unfinished(path)
        part = None if job.part is None else job.part.of(film.frame_count)
        notes = job.notes(film)
        urgent = job.warnings(film)
        for note in notes:
            (events.warning if note in urgent else events.note)(note)
        as_planned = settings if merged is None else replace(settings, chunk_frames=chunk_frames)
        plan = plan_run(film, as_planned, memory_bytes)
        with (
            open_canvas(plan, job.checkpoint.resolve().parent) as canvas,
            _molecules(job, film) as molecules,
            FileCheckpoint(
                job.checkpoint,
                resume=job.resume,
                every_s=settings.checkpoint_every_s,
                events=events,
            ) as checkpoint,
        ):
            events.stage("starting", film.frame_count if part is None else len(part))
            result = reconstruct(
                film,
                engine,
                settings,
                model_repository=model_repository,
                plan=plan,
                canvas=canvas,
                checkpoint=merged or checkpoint,
                molecules=molecules,
                pixel_size_nm=job.pixel_size_nm,
                part=part,
                events=events,
            )
            events.stage("writing")
            yield JobRun(film, result, molecules, checkpoint, notes)


def write_results(job: Job, run: JobRun, events: TimedEvents) -> Report:
    """Write image, picture, table and page of a job, and report on them."""
    result, molecules = run.result, run.molecules
    facts = report(result, job, run.film, run.notes, _row_count(job, molecules))
    for note in result_notes(result):
        (events.warning if result.missing.chunks else events.note)(note)
    _write(job, result, facts)
    if molecules is not None and job.molecules is not None:
        events.stage("writing the table")
        _write_table(job.molecules, job, molecules, result, facts)
    if job.page:
        events.stage("writing the report")
        write_report_page(job, run.film, molecules, result, facts, events)
    run.checkpoint.results_are_written()
    return replace(facts, timings_s=events.timings_s())


def _molecules(job: Job, film: Film) -> AbstractContextManager[MoleculeSink | None]:
    """The sink of the molecules, if a table is to be written or drift corrected."""
    if job.molecules is None and not job.settings.corrects_drift:
        return nullcontext()
    return MoleculeSink(job.checkpoint, job.probability_kept, film.corner)


def _row_count(job: Job, molecules: MoleculeSink | None) -> int | None:
    """Rows of the table, if there is to be one."""
    if molecules is None or job.molecules is None:
        return None
    return molecules.count(job.molecules_probability)


def _write_table(
    path: Path, job: Job, molecules: MoleculeSink, result: Reconstruction, facts: Report
) -> None:
    """Write the molecules; rows count frames and pixels as the film's file does."""
    x_px, y_px, width_px, height_px = facts.selection["roi_px"]
    table = TableFacts(
        columns=columns_of(job.camera),
        pixel_size_nm=facts.pixel_size_nm,
        width_px=x_px + width_px,
        height_px=y_px + height_px,
        frame_count=facts.selection["frames"][1],
        provenance=facts.provenance(),
    )
    least = job.molecules_probability
    rows = molecules.blocks(facts.pixel_size_nm, job.camera, least)
    if result.drift is not None and result.drift.applied is not None:
        rows = at_rest(rows, result.drift.applied)
    write_table(path, rows, table, molecules.count(least))


def _write(job: Job, result: Reconstruction, facts: Report) -> None:
    """Write the image and all files beside it that are not of molecules."""
    sums = result.pixels if result.plan.refines else None
    drift = result.drift
    uncorrected = result.uncorrected if drift is not None and drift.applied is not None else None
    write_images(job, facts, result.shown, sums, uncorrected)
    write_measurements(job, result, facts)
    if drift is not None:
        write_drift_files(job, drift, drift.frames)
    write_picture(
        job.picture,
        result.shown,
        sr_pixel_size_nm=facts.sr_pixel_size_nm,
        edge_max_px=result.plan.picture_edge_px,
        style=job.style,
    )
