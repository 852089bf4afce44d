"""``recon-client submit``: a film in, an image out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline.channels.report import ChannelsDryRun, ChannelsReport
from smlm_pipeline.channels.run import dry_run_channels, run_channels
from smlm_pipeline.cli.camera_options import TABLE_PANEL, CameraOptions
from smlm_pipeline.cli.channel_options import ChannelOptions
from smlm_pipeline.cli.connection_options import ConnectionOptions
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.film_options import Pattern
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.option_groups import with_groups
from smlm_pipeline.cli.options import OUTPUT_PANEL, Quiet
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.cli.progress import TerminalEvents
from smlm_pipeline.cli.run_options import (
    IMAGE_PANEL,
    INTERRUPTED_PANEL,
    FilmOptions,
    PictureOptions,
    RunOptions,
)
from smlm_pipeline.dry_run import DryRun
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.film.part_asked import PartAsked
from smlm_pipeline.job import Job
from smlm_pipeline.output.image_names import image_path
from smlm_pipeline.parts.report import PartReport
from smlm_pipeline.parts.summing import run_part
from smlm_pipeline.report import Report
from smlm_pipeline.run.kept_memory import keep_freed_memory
from smlm_pipeline.submission import submit as submission

_PROGRAM = "recon-client"


@with_groups
def submit(
    film: Annotated[
        Path,
        typer.Argument(
            metavar="FILM", help="Film of blinking molecules: a file, or the folder of one."
        ),
    ],
    *,
    part: FilmOptions,
    pattern: Pattern = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Image to write, .ome.tif or .ome.zarr, or its folder; by default "
            "FILM.sr.ome.tif.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace an earlier image, and table, of that name.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = False,
    molecules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the table of molecules: .csv (ThunderSTORM), .smlm.csv (SMLM "
            "challenge), .hdf5 (Picasso), .h5 (DECODE) or .parquet.",
            show_default=False,
            rich_help_panel=TABLE_PANEL,
        ),
    ] = None,
    camera: CameraOptions,
    picture: PictureOptions,
    channels: ChannelOptions,
    run: RunOptions,
    connection: ConnectionOptions,
    partial: Annotated[
        Path | None,
        typer.Option(
            metavar="PART.npz",
            help="Sum the part of the film that --frames names, A:B or I/N, the I-th of N equal "
            "parts from 0, into this file instead of an image; 'merge' makes the image of all "
            "parts.",
            show_default=False,
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run from the checkpoint beside the image or part.",
            rich_help_panel=INTERRUPTED_PANEL,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=OUTPUT_PANEL),
    ] = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the report, or why there is none, as JSON; implies no progress bar.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = False,
) -> None:
    """Reconstruct one super-resolution image from FILM.

    FILM is a TIFF, BigTIFF, OME-TIFF, ND2, CZI, LIF, Imaris, HDF5, SIF, DCIMG, SPE,
    FITS, Zarr, NDTiff or raw film, or a folder of TIFFs. Writes a float32 OME-TIFF
    (emitters per pixel, physical pixel size) and a PNG picture beside it.
    """
    with door(as_json=as_json):
        asked = None if partial is None else PartAsked.parse(partial, part.frames)
        job = Job(
            film,
            image_path(film, output),
            run.settings(),
            part.pixel_size_nm,
            (part if partial is None else replace(part, frames=None)).selection(pattern),
            overwrite,
            resume,
            molecules,
            run.molecules_probability,
            camera.camera(),
            picture.style(),
            run.report,
            channels.choice(),
            asked,
        )
        engine = "" if dry_run else run.engine_choice(connection)  # a dry run asks no server
        _run(
            job,
            engine,
            run.model_repository,
            dry_run=dry_run,
            quiet=quiet,
            as_json=as_json,
        )


def _run(
    job: Job,
    engine: str | Servers,
    repository: Path | None,
    *,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run or plan the job, and print its facts."""
    keep_freed_memory()
    with TerminalEvents(_PROGRAM, quiet=quiet or as_json) as events:
        facts: DryRun | Report | PartReport | ChannelsDryRun | ChannelsReport
        two = job.channels is not None
        if dry_run:
            facts = dry_run_channels(job) if two else submission.dry_run(job)
            for note in facts.notes:
                (events.warning if note in facts.warnings else events.note)(note)
        elif job.part is not None and not two:
            facts = run_part(job, engine, model_repository=repository, events=events)
        else:
            work = run_channels if two else submission.run_job
            facts = work(job, engine, model_repository=repository, events=events)
    if as_json:
        print_json(facts.as_dict())
    elif dry_run or not quiet:
        typer.echo(printable(facts.as_text(), one_line=False))
