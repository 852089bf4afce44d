"""``recon-client submit``: a film in, an image out."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract, submission
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.film_options import (
    FILM_PANEL,
    Channel,
    Frames,
    Pattern,
    Plane,
    Position,
    Roi,
    TimeAxis,
    selection_of,
)
from smlm_pipeline.cli.options import ENGINE_PANEL, Model, Precision, Repository, Server
from smlm_pipeline.cli.progress import TerminalEvents
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.job import Job, image_path
from smlm_pipeline.report import DryRun, Report
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.settings import (
    DEFAULT_PIXEL_SIZE_NM,
    DRIFT_AUTO,
    DRIFT_OFF,
    MOLECULES_PROBABILITY,
    Settings,
)

_PROGRAM = "recon-client"

_IMAGE, _TABLE = "Image", "Table of molecules"
_INTERRUPTED, _RESOURCES, _OUTPUT = "Interrupted runs", "Requests and memory", "Output"


class EngineName(str, enum.Enum):
    """Where the network runs."""

    TRITON = "triton"
    LOCAL = "local"


def submit(
    film: Annotated[
        Path,
        typer.Argument(
            metavar="FILM", help="Film of blinking molecules: a file, or the folder of one."
        ),
    ],
    frames: Frames = None,
    roi: Roi = None,
    channel: Channel = None,
    z: Plane = None,
    position: Position = None,
    time_axis: TimeAxis = None,
    pattern: Pattern = None,
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(
            help="Camera pixel in the sample plane; by default the file's, "
            f"else {DEFAULT_PIXEL_SIZE_NM:g}.",
            show_default=False,
            rich_help_panel=FILM_PANEL,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Image to write, or its folder; by default FILM.sr.ome.tif.",
            rich_help_panel=_IMAGE,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace an earlier image, and table, of that name.",
            rich_help_panel=_IMAGE,
        ),
    ] = False,
    molecules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the table of molecules: .csv (ThunderSTORM), .smlm.csv (SMLM "
            "challenge), .hdf5 (Picasso), .h5 (DECODE) or .parquet.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    molecules_probability: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Least probability of a molecule in the table, from "
            f"{contract.MOLECULE_PROBABILITY_MIN:g} on.",
            rich_help_panel=_TABLE,
        ),
    ] = MOLECULES_PROBABILITY,
    zoom: Annotated[
        int, typer.Option(help="SR pixels per camera pixel.", rich_help_panel=_IMAGE)
    ] = Settings.zoom,
    refine: Annotated[
        str,
        typer.Option(
            metavar="auto|off|N",
            help="Sharpen the image by the precision that the network states, in N steps or, with "
            "auto, as far as one half of the film foretells the other; the plain sum is written "
            "beside it.",
            rich_help_panel=_IMAGE,
        ),
    ] = str(Settings.refine),
    drift: Annotated[
        str,
        typer.Option(
            metavar="auto|off|FILE",
            help="Take out the drift of the sample: estimated from its molecules, or that of a "
            "CSV file in nm for each frame. The uncorrected image and the drift are written too.",
            rich_help_panel=_IMAGE,
        ),
    ] = str(Settings.drift),
    resolution: Annotated[
        bool,
        typer.Option(
            "--resolution",
            help="Measure the resolution by Fourier ring correlation of two halves of the film: "
            "number, curve and map.",
            rich_help_panel=_IMAGE,
        ),
    ] = Settings.resolution,
    model: Model = Settings.model,
    server: Server = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="'local' runs the network in this process, without Triton.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = EngineName.TRITON,
    precision: Precision = None,
    model_repository: Repository = None,
    attempts: Annotated[
        int,
        typer.Option(
            help="How often a request is sent where another attempt may help.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = Settings.attempts,
    timeout_s: Annotated[
        int,
        typer.Option(
            help="Longest wait for one request before it is sent again.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = Settings.timeout_s,
    chunk_frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of one request; by default as many as suit the server.",
            rich_help_panel=_RESOURCES,
        ),
    ] = Settings.chunk_frames,
    tile_px: Annotated[
        int,
        typer.Option(
            help="Largest tile edge; larger fields are cut into tiles.",
            rich_help_panel=_RESOURCES,
        ),
    ] = Settings.tile_px,
    in_flight: Annotated[
        int | None,
        typer.Option(
            help="Concurrent requests; by default as many as keep the servers busy.",
            rich_help_panel=_RESOURCES,
        ),
    ] = Settings.in_flight,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Most memory of this client, as 4GiB; by default a quarter of the machine's. The "
            "memory of a server and of --engine local's network is not included.",
            rich_help_panel=_RESOURCES,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run from the checkpoint beside the image.",
            rich_help_panel=_INTERRUPTED,
        ),
    ] = False,
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial",
            help="Take a film that lacks frames, and leave out chunks that fail for good; the "
            "image's metadata lists the missing frames.",
            rich_help_panel=_INTERRUPTED,
        ),
    ] = Settings.allow_partial,
    checkpoint_every_s: Annotated[
        float,
        typer.Option(
            help="Shortest pause between two writings of the checkpoint.",
            rich_help_panel=_INTERRUPTED,
        ),
    ] = Settings.checkpoint_every_s,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=_OUTPUT),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "-q", "--quiet", help="Print warnings and errors only.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the report as JSON; implies no progress bar.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> None:
    """Reconstruct one super-resolution image from FILM.

    FILM is a TIFF, BigTIFF, OME-TIFF, ND2, CZI, LIF, Imaris, HDF5, SIF, DCIMG, SPE,
    FITS, Zarr, NDTiff or raw film, or a folder of TIFFs. Writes a float32 OME-TIFF
    (emitters per pixel, physical pixel size) and a PNG picture beside it.
    """
    with door():
        settings = Settings(
            model=model,
            precision=precision.value if precision else None,
            zoom=zoom,
            refine=int(refine) if refine.isdecimal() else refine,
            drift=drift if drift in (DRIFT_OFF, DRIFT_AUTO) else Path(drift),
            resolution=resolution,
            chunk_frames=chunk_frames,
            in_flight=in_flight,
            attempts=attempts,
            timeout_s=timeout_s,
            tile_px=tile_px,
            memory_bytes=None if memory is None else parse_bytes(memory),
            allow_partial=allow_partial,
            checkpoint_every_s=checkpoint_every_s,
        )
        selection = selection_of(
            channel, z, position, time_axis, frames=frames, roi=roi, pattern=pattern
        )
        image = image_path(film, output)
        job = Job(
            film,
            image,
            settings,
            pixel_size_nm,
            selection,
            overwrite,
            resume,
            molecules,
            molecules_probability,
        )
        remote = None
        if server and engine is EngineName.TRITON and not dry_run:  # a dry run asks no server
            remote = Servers.parse(server)
        _run(
            job,
            remote or engine.value,
            model_repository,
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
    with TerminalEvents(_PROGRAM, quiet=quiet or as_json) as events:
        facts: DryRun | Report
        if dry_run:
            facts = submission.dry_run(job)
            for note in facts.notes:
                (events.warning if note in facts.warnings else events.note)(note)
        else:
            facts = submission.run_job(job, engine, model_repository=repository, events=events)
    if as_json:
        typer.echo(json.dumps(facts.as_dict(), indent=2))
    elif dry_run or not quiet:
        typer.echo(facts.as_text())
