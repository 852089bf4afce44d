"""``recon-client batch``: all films of a folder or list, one image each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smlm_pipeline import contract
from smlm_pipeline.batch.batch import run_batch
from smlm_pipeline.batch.films import LIST_ENDINGS, Search, find_films
from smlm_pipeline.batch.jobs import BatchJob, BatchSettings, batch_job, check_replaced
from smlm_pipeline.batch.record import (
    RECORD_NAME,
    TABLE_NAME,
    Outcome,
    Record,
    Summary,
    read_record,
)
from smlm_pipeline.channels.registering import map_of_beads
from smlm_pipeline.channels.report import ChannelsReport
from smlm_pipeline.channels.run import run_channels
from smlm_pipeline.cli.batch_progress import TerminalBatchEvents, channels_in_words
from smlm_pipeline.cli.camera_options import TABLE_PANEL, CameraOptions
from smlm_pipeline.cli.channel_options import ChannelOptions
from smlm_pipeline.cli.connection_options import ConnectionOptions
from smlm_pipeline.cli.exit_codes import door, explained
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.option_groups import with_groups
from smlm_pipeline.cli.options import OUTPUT_PANEL, Quiet
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.cli.run_options import (
    IMAGE_PANEL,
    RESOURCES_PANEL,
    FilmOptions,
    PictureOptions,
    RunOptions,
)
from smlm_pipeline.engines.opening import Engine, open_engine
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import OutputError, SettingError
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats.film_folders import PassedOver
from smlm_pipeline.film.formats.pixel_size import check_given
from smlm_pipeline.job import Job
from smlm_pipeline.model_repository import find_model_repository, network_file, network_sha256
from smlm_pipeline.report import Report
from smlm_pipeline.run.events import Events
from smlm_pipeline.run.kept_memory import keep_freed_memory
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.submission import submit as submission
from smlm_pipeline.tables.formats import format_of

_PROGRAM = "recon-client"
_FILMS_PANEL = "Films"

_LISTED = 3
"""Files that a note names."""

FILE_COLUMNS = 240
"""Width of the table where the output is no terminal and COLUMNS does not state one."""

FILMS_AT_ONCE, FILMS_AT_ONCE_MOST = 2, 16
"""Films side by side by default, and at most: while one is opened, surveyed or written, another
keeps the engine busy (docs/batch.md)."""

FILM_MEMORY_MIN_BYTES = 1 << 30
"""Least memory of each film for films to be computed side by side by default."""


@with_groups
def batch(
    films: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER",
            help="Folders to search for films; lists of films or folders, one path a line "
            f"({', '.join(LIST_ENDINGS)}); or films.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Folder of the images, in folders like those of the films; it is made if need be.",
            show_default=False,
            rich_help_panel=OUTPUT_PANEL,
        ),
    ],
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Take only films of such names, as 'cell*.tif' or 'day2/*'; repeat it for "
            "several.",
            rich_help_panel=_FILMS_PANEL,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Leave out films of such names; repeat it for several.",
            rich_help_panel=_FILMS_PANEL,
        ),
    ] = None,
    sub_folders: Annotated[
        bool,
        typer.Option(help="Also search folders of folders.", rich_help_panel=_FILMS_PANEL),
    ] = True,
    part: FilmOptions,
    molecules: Annotated[
        str | None,
        typer.Option(
            metavar="ENDING",
            help="Also write tables of molecules: csv, smlm.csv, hdf5, h5 or parquet.",
            rich_help_panel=TABLE_PANEL,
        ),
    ] = None,
    camera: CameraOptions,
    picture: PictureOptions,
    channels: ChannelOptions,
    run: RunOptions,
    connection: ConnectionOptions,
    films_at_once: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=FILMS_AT_ONCE_MOST,
            help="Films that are computed side by side by the one engine; they share --memory. By "
            f"default {FILMS_AT_ONCE}, or 1 where memory is short.",
            show_default=False,
            rich_help_panel=RESOURCES_PANEL,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace images of other settings, or of another call.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the films, and what would be done.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the outcome of each film as JSON, one a line, then a summary; implies no "
            "progress bar.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = False,
) -> None:
    """Reconstruct one image from each of many films, by one engine.

    Searches folders and their folders for films in all formats of 'submit', and never takes
    results for films. Give the same call again to do what is left: films that are done with the
    same settings are skipped, interrupted ones continue. A film that fails stops no other. The
    outcomes are in batch.json and batch.csv in the output folder; the exit code is 0 if all
    films are done, otherwise that of the first that failed.
    """
    started_s = time.monotonic()
    with door(if_interrupted="the same command continues", as_json=as_json):
        two = _channels(channels)
        beads = None if two is None else two.beads
        search = Search(films, output, include or (), exclude or (), sub_folders, beads)
        if molecules is not None:
            format_of(Path(f"table.{molecules.removeprefix('.')}"))
        at_once = films_at_once or _films_at_once(run)
        asked = _asked(part, run, connection, at_once)
        asked = replace(
            asked,
            molecules_ending=molecules,
            camera=camera.camera(),
            overwrite=overwrite,
            style=picture.style(),
            channels=two,
        )
        found, passed_over = find_films(search)
        record = read_record(output)
        jobs = [batch_job(film, asked, record) for film in found]
        jobs[0].job.check_options()  # which are the same for all films
        if not dry_run:
            _make_folder(output)
        with TerminalBatchEvents(_PROGRAM, len(jobs), quiet=quiet, as_json=as_json) as events:
            for note in _notes(passed_over):
                events.note(note)
            if dry_run:
                outcomes = [_planned(job, record, events) for job in jobs]
            else:
                engine = run.engine_choice(connection)
                outcomes = _run(jobs, run, engine, record, at_once, events)
        summary = Summary.of(outcomes, round(time.monotonic() - started_s, 2))
        if as_json:
            print_json({"summary": asdict(summary)}, one_line=True)
        elif not quiet:
            _show(outcomes, summary, None if dry_run else output)
        raise typer.Exit(summary.exit_code)


def _films_at_once(run: RunOptions) -> int:
    """Films side by side, where the user does not say."""
    share_bytes = memory_limit_bytes(run.settings()) // FILMS_AT_ONCE
    return FILMS_AT_ONCE if share_bytes >= FILM_MEMORY_MIN_BYTES else 1


def _channels(options: ChannelOptions) -> Channels | None:
    """The channels, if there are two; a film of beads that is not there would fail each film."""
    channels = options.choice()
    if channels is not None and channels.beads is not None and not channels.beads.exists():
        raise SettingError(
            f"there is no film of beads {channels.beads}; expected an existing film: check the "
            "name with --registration-film"
        )
    return channels


def _asked(
    part: FilmOptions, run: RunOptions, connection: ConnectionOptions, films_at_once: int
) -> BatchSettings:
    """What is asked for all films; each gets its share of the memory."""
    settings = run.settings()
    if part.pixel_size_nm is not None:
        check_given(part.pixel_size_nm)
    network = ""  # a server does not state it
    if isinstance(run.engine_choice(connection), str) and run.model in contract.ENSEMBLES:
        repository = find_model_repository(run.model_repository)
        name = contract.ENSEMBLES[run.model].network.name
        network = network_sha256(network_file(repository, name))
    return BatchSettings(
        replace(settings, memory_bytes=memory_limit_bytes(settings) // films_at_once),
        part.selection(),
        part.pixel_size_nm,
        molecules_probability=run.molecules_probability,
        page=run.report,
        network_sha256=network,
    )


def _make_folder(folder: Path) -> None:
    """Make the folder of the results if need be."""
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"-o is {folder}, a file; expected a folder: name another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made: {error.strerror or error}; choose another folder -o"
        ) from error


def _run(
    jobs: Sequence[BatchJob],
    run: RunOptions,
    engine: str | Servers,
    record: Record,
    films_at_once: int,
    events: TerminalBatchEvents,
) -> list[Outcome]:
    """Run the batch by the engine of the options."""
    keep_freed_memory()
    settings = run.settings()
    return run_batch(
        jobs,
        lambda: open_engine(
            engine,
            settings.model,
            timeout_s=settings.timeout_s,
            model_repository=run.model_repository,
            precision=settings.precision,
        ),
        record,
        work=_work,
        films_at_once=films_at_once,
        failure=explained,
        events=events,
    )


def _work(job: Job, engine: Engine, events: Events) -> Report | ChannelsReport:
    """Run the job of a film, of one channel or two."""
    if job.channels is not None:
        return run_channels(job, engine, events=events)
    return submission.run_job(job, engine, events=events)


def _planned(planned: BatchJob, record: Record, events: TerminalBatchEvents) -> Outcome:
    """What would be done with a film, which is opened and checked."""
    job = planned.job
    outcome = Outcome(planned.film.name, str(job.image), "planned", made=planned.made)
    if planned.skipped:
        report = record.report(planned.film.name)
        outcome = replace(outcome, state="skipped", reason=planned.skipped, report=report)
    else:
        try:
            check_replaced(planned, record.made(planned.film.name))
            verb = "continues: " if job.resume else ""
            outcome = replace(outcome, reason=f"{verb}{_sizes(job)} -> {job.image}")
        except Exception as error:  # noqa: BLE001 - the door of each film
            reason, code = explained(error)
            outcome = replace(outcome, state="failed", reason=reason, exit_code=code)
    events.ended(outcome)
    return outcome


def _sizes(job: Job) -> str:
    """Frames and pixels of a film, or of each of its channels, which are opened and checked."""
    with ExitStack() as stack:
        films = [
            stack.enter_context(
                open_film(each.film, each.selection, allow_partial=job.settings.allow_partial)
            )
            for each in (job.of_channels or (job,))
        ]
        pixel_nm = job.camera_pixel_nm(films[0])
        if job.channels is not None:
            map_of_beads(job, job.channels, pixel_nm, films[0])
        sizes = [
            f"{film.frame_count:,} frames of {film.height_px} x {film.width_px} pixels"
            for film in films
        ]
    names = ("",) if job.channels is None else (f"{name}: " for name in job.channels.names)
    return ", ".join(f"{name}{size}" for name, size in zip(names, sizes, strict=True))


def _notes(passed_over: Sequence[PassedOver]) -> Iterator[str]:
    """What was passed over, a line for each reason; results of this program need none."""
    reasons = dict.fromkeys(each.reason for each in passed_over)
    for reason in reasons:
        names = [str(each.path) for each in passed_over if each.reason == reason]
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        yield f"passed over, since each {reason} ({len(names)}): {listed}"


def _show(outcomes: Sequence[Outcome], summary: Summary, output: Path | None) -> None:
    """Print the table of all films, and the count."""
    console = Console(highlight=False)
    if not (console.is_terminal or os.environ.get("COLUMNS", "").isdecimal()):
        console.width = FILE_COLUMNS
    table = Table("film", "state", "emitters", "frames", "seconds", "reason")
    for column in table.columns:
        column.overflow = "fold"
    for each in outcomes:
        report = each.report or {}
        facts = [f"{report[name]:,.0f}" if report else "" for name in ("emitters", "frames")]
        seconds = f"{each.elapsed_s:,.1f}" if each.elapsed_s else ""
        words = each.reason or channels_in_words(report)
        cells = (each.film, each.state, *facts, seconds, words)
        table.add_row(*(escape(printable(cell)) for cell in cells))
    console.print(table)
    console.print(summary.as_text(), markup=False)
    if output is not None:
        files = f"{output / RECORD_NAME} and {TABLE_NAME} have all outcomes"
        console.print(files, markup=False, soft_wrap=True)
