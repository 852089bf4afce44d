"""``recon-client``: thin commands that parse, call and turn errors into exit codes."""

from __future__ import annotations

import contextlib
import enum
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smlm_pipeline import contract
from smlm_pipeline.cli import plan as plan_commands
from smlm_pipeline.cli.exit_codes import EXIT_CODES, MESSAGES, door
from smlm_pipeline.cli.status import as_dict, complaint, show
from smlm_pipeline.engines import fleet, opening
from smlm_pipeline.errors import ServerError
from smlm_pipeline.film.selection import Selection, frames_range, region
from smlm_pipeline.job import Submission, image_path
from smlm_pipeline.model_repository import find_model_repository
from smlm_pipeline.report import Plan, Report, plan
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM, Settings
from smlm_pipeline.submission import submit as submit_film

app = typer.Typer(
    help="Super-resolution images from films of blinking molecules, through NVIDIA Triton.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(plan_commands.app, name="plan")


class EngineName(str, enum.Enum):
    """Where the network runs."""

    TRITON = "triton"
    LOCAL = "local"


Server = Annotated[
    str | None,
    typer.Option(
        envvar="RECON_SERVER",
        metavar="HOST:PORT[,...]",
        help="gRPC endpoint of a running Triton server, or of several that share the work; "
        "without it an embedded one is started.",
    ),
]
Repository = Annotated[
    Path | None,
    typer.Option(
        "--model-repository",
        envvar="RECON_MODEL_REPOSITORY",
        metavar="DIR",
        help="Model repository of the embedded server and of --engine local.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help=f"Model to ask: the image is drawn from detections by default; "
        f"{contract.RECONSTRUCTION_FAST.name!r} takes a third of the time and errs more, "
        f"{contract.RECONSTRUCTION_MAP.name!r} is the map network's image, for comparison."
    ),
]


@app.command(epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
def serve(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="gRPC port to listen on.")
    ] = contract.GRPC_PORT,
    model_repository: Repository = None,
    log: Annotated[
        Path | None, typer.Option(help="File for the server's log.", show_default=False)
    ] = None,
) -> None:
    """Run the embedded Triton server on this machine until Ctrl-C."""
    with door():
        from smlm_pipeline.engines.embedded import EmbeddedServer

        repository = find_model_repository(model_repository)
        with EmbeddedServer(repository, grpc_port=port, log_file=log) as server:
            served = [name for name in contract.ENSEMBLES if (repository / name).exists()]
            typer.echo(f"serving {', '.join(served)} at {server.address}")
            typer.echo(f"metrics at {server.metrics_url}")
            typer.echo(f"use it: recon-client submit stack.tif --server {server.address}")
            sys.stdout.flush()
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                server.wait_for_end()


@app.command(epilog=EXIT_CODES)
def status(
    server: Server = None,
    model: Model = Settings.model,
    ask_canary: Annotated[
        bool,
        typer.Option("--canary", help="Also send a frame with one molecule, which is to be found."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell whether servers are ready, what they serve and whether that fits this client."""
    with door():
        states = fleet.server_states(server or f"127.0.0.1:{contract.GRPC_PORT}", model)
        canaries = {
            address: opening.server_canary(address, model)
            for address, state in states.items()
            if ask_canary and not isinstance(state, ServerError) and state.fits
        }
        if as_json:
            typer.echo(json.dumps(as_dict(states, canaries), indent=2))
        else:
            show(states, canaries, Console())
        if reason := complaint(states):
            raise reason


def _choose_engine(
    engine: EngineName, server: str | None, model_repository: Path | None, settings: Settings
) -> contextlib.AbstractContextManager[opening.Engine]:
    if engine is EngineName.LOCAL:
        return opening.local_engine(model_repository, settings.model)
    if server:
        return opening.server_engine(server, settings.model, timeout_s=settings.timeout_s)
    return opening.embedded_engine(model_repository, settings.model, timeout_s=settings.timeout_s)


def _tell(note: str) -> None:
    MESSAGES.print(f"recon-client: {note}", markup=False, soft_wrap=True)


def _keep_quiet(_note: str) -> None:
    """With --quiet and --json; the report has the notes."""
