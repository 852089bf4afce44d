"""``recon-client submit``: a film in, an image out."""

from __future__ import annotations

import contextlib
import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline.cli.exit_codes import MESSAGES, door
from smlm_pipeline.cli.options import Model, Repository, Server
from smlm_pipeline.engines import opening
from smlm_pipeline.film.selection import Selection, frames_range, region
from smlm_pipeline.job import Submission, image_path
from smlm_pipeline.report import Plan, Report, plan
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM, Settings
from smlm_pipeline.submission import submit as submit_film


class EngineName(str, enum.Enum):
    """Where the network runs."""

    TRITON = "triton"
    LOCAL = "local"


def submit(
    stack: Annotated[
        Path, typer.Argument(help="Film of blinking molecules: a file, or the folder of one.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Image to write, or its folder; by default STACK.sr.ome.tif."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier image of that name.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from what an interrupted run kept beside the image."),
    ] = False,
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial",
            help="Leave out what fails for good; the image's metadata tells which frames.",
        ),
    ] = Settings.allow_partial,
    server: Server = None,
    engine: Annotated[
        EngineName, typer.Option(help="'local' runs the network in this process, without Triton.")
    ] = EngineName.TRITON,
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(
            help="Camera pixel in the sample plane; by default what the file says, "
            f"else {DEFAULT_PIXEL_SIZE_NM:g}.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Frames from A up to B (excluded), counted from 0."),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="Region to take, in camera pixels."),
    ] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="Channel to take, from 0.")] = None,
    z: Annotated[int | None, typer.Option(min=0, help="Plane in z to take, from 0.")] = None,
    position: Annotated[int | None, typer.Option(min=0, help="Position to take, from 0.")] = None,
    time_axis: Annotated[
        str | None,
        typer.Option(metavar="AXIS", help="Axis of the frames where the file names it otherwise."),
    ] = None,
    zoom: Annotated[int, typer.Option(help="Fine pixels per camera pixel.")] = Settings.zoom,
    chunk_frames: Annotated[
        int | None, typer.Option(help="Frames of one request; by default up to 32.")
    ] = Settings.chunk_frames,
    in_flight: Annotated[
        int | None,
        typer.Option(help="Requests under way at once; by default as many as the servers can use."),
    ] = Settings.in_flight,
    attempts: Annotated[
        int, typer.Option(help="How often a request is sent where another try may help.")
    ] = Settings.attempts,
    timeout_s: Annotated[
        int, typer.Option(help="Longest wait for one request before it is sent again.")
    ] = Settings.timeout_s,
    tile_px: Annotated[
        int, typer.Option(help="Largest tile edge; larger fields are cut into tiles.")
    ] = Settings.tile_px,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Most memory of this client, as 4GiB; by default a quarter of the machine's. A "
            "server and --engine local's network take theirs beside it.",
        ),
    ] = None,
    ledger_every_s: Annotated[
        float,
        typer.Option(help="Pause between two writings of the sum that --resume goes on from."),
    ] = Settings.ledger_every_s,
    model: Model = Settings.model,
    model_repository: Repository = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; implies no progress bar.")
    ] = False,
) -> None:
    """Reconstruct one super-resolution image from STACK.

    STACK is a TIFF, BigTIFF, OME-TIFF, ND2, Zarr, NDTiff or raw film, or a folder of
    TIFFs. Writes a float32 OME-TIFF (emitters per pixel, physical pixel size) and a PNG
    picture beside it.
    """
    with door():
        settings = Settings(
            model=model,
            zoom=zoom,
            chunk_frames=chunk_frames,
            in_flight=in_flight,
            attempts=attempts,
            timeout_s=timeout_s,
            tile_px=tile_px,
            memory_bytes=None if memory is None else parse_bytes(memory),
            allow_partial=allow_partial,
            ledger_every_s=ledger_every_s,
        )
        selection = Selection(
            frames=(0, None) if frames is None else frames_range(frames),
            roi_px=None if roi is None else region(roi),
            channel=channel,
            z=z,
            position=position,
            time_axis=time_axis and time_axis.upper(),
        )
        image = image_path(stack, output)
        asked = Submission(stack, image, settings, pixel_size_nm, selection, overwrite, resume)
        noisy = not (quiet or as_json)
        say = _tell if noisy else _keep_quiet
        told: Plan | Report
        if dry_run:
            told = plan(asked)
            for note in told.notes:
                say(note)
        else:
            chosen = _choose_engine(engine, server, model_repository, settings)
            told = submit_film(asked, chosen, show_progress=noisy, say=say, warn=_tell)
        if as_json:
            typer.echo(json.dumps(told.as_dict(), indent=2))
        elif dry_run or noisy:
            typer.echo(told.as_text())


def _choose_engine(
    engine: EngineName, server: str | None, model_repository: Path | None, settings: Settings
) -> contextlib.AbstractContextManager[opening.Engine]:
    name = engine.value if engine is EngineName.LOCAL or not server else server
    return opening.open_engine(
        name, settings.model, timeout_s=settings.timeout_s, model_repository=model_repository
    )


def _tell(note: str) -> None:
    MESSAGES.print(f"recon-client: {note}", markup=False, soft_wrap=True)


def _keep_quiet(_note: str) -> None:
    """With --quiet and --json; the report has the notes."""
