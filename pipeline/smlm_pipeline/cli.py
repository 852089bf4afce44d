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
from rich.table import Table

from smlm_pipeline import contract, engines
from smlm_pipeline.door import EXIT_CODES, MESSAGES, door
from smlm_pipeline.errors import ContractError
from smlm_pipeline.plans import commands as plan_commands
from smlm_pipeline.reconstruct import plan_chunks
from smlm_pipeline.repository import find_model_repository
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM, Settings
from smlm_pipeline.stack import open_stack
from smlm_pipeline.submission import Submission, default_image
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
        metavar="HOST:PORT",
        help="gRPC endpoint of a running Triton server; without it an embedded one is started.",
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
    stack: Annotated[Path, typer.Argument(help="Film of blinking molecules: a TIFF stack.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Image to write; by default STACK.sr.ome.tif."),
    ] = None,
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
    zoom: Annotated[int, typer.Option(help="Fine pixels per camera pixel.")] = Settings.zoom,
    chunk_frames: Annotated[
        int | None, typer.Option(help="Frames of one request; by default up to 32.")
    ] = Settings.chunk_frames,
    in_flight: Annotated[
        int, typer.Option(help="Requests under way at once.")
    ] = Settings.in_flight,
    tile_px: Annotated[
        int, typer.Option(help="Largest tile edge; larger fields are cut into tiles.")
    ] = Settings.tile_px,
    model: Model = Settings.model,
    model_repository: Repository = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; implies no progress bar.")
    ] = False,
) -> None:
    """Reconstruct one super-resolution image from STACK.

    Writes a float32 OME-TIFF (emitters per pixel, physical pixel size) and a PNG
    picture beside it.
    """
    with door():
        settings = Settings(
            model=model, zoom=zoom, chunk_frames=chunk_frames, in_flight=in_flight, tile_px=tile_px
        )
        asked = Submission(stack, output or default_image(stack), settings, pixel_size_nm)
        noisy = not (quiet or as_json)
        if noisy and pixel_size_nm is None:
            _tell_pixel_size(stack)
        if dry_run:
            _print_plan(asked)
            return
        chosen = _choose_engine(engine, server, model_repository, model)
        told = submit_film(asked, chosen, show_progress=noisy)
        if as_json:
            typer.echo(json.dumps(told.as_dict(), indent=2))
        elif noisy:
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
        from smlm_pipeline.server import EmbeddedServer

        repository = find_model_repository(model_repository)
        with EmbeddedServer(repository, grpc_port=port, log_file=log) as server:
            served = [name for name in contract.STEPS if (repository / name).exists()]
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
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell whether a server is ready, what it serves and whether that fits this client."""
    with door():
        state = engines.server_status(server or f"127.0.0.1:{contract.GRPC_PORT}", model)
        if as_json:
            typer.echo(json.dumps(state.as_dict(), indent=2))
        else:
            table = Table("model", "ready", "versions", "contract", "fits this client")
            for each in state.models:
                table.add_row(
                    each.name,
                    "yes" if each.ready else "no",
                    ", ".join(each.versions) or "-",
                    each.contract_version or "-",
                    "yes" if each.fits else "no",
                )
            ready = "ready" if state.ready else "not ready"
            Console().print(f"Triton {state.server_version} at {state.address}: {ready}", table)
        if not state.fits:
            raise ContractError(
                f"{state.asked!r} of the server at {state.address} does not fit this client, which "
                f"speaks contract version {contract.CONTRACT_VERSION}; start the server on this "
                "project's model_repository"
            )


def _choose_engine(
    engine: EngineName, server: str | None, model_repository: Path | None, model: str
) -> contextlib.AbstractContextManager[engines.Engine]:
    if engine is EngineName.LOCAL:
        return engines.local_engine(model_repository, model)
    if server:
        return engines.server_engine(server, model)
    return engines.embedded_engine(model_repository, model)


def _tell_pixel_size(stack: Path) -> None:
    with open_stack(stack) as film:
        if film.pixel_size_nm is None:
            MESSAGES.print(
                f"recon-client: {stack.name} does not tell its pixel size; taking "
                f"{DEFAULT_PIXEL_SIZE_NM:g} nm (--pixel-size-nm sets it)",
                markup=False,
                soft_wrap=True,
            )


def _print_plan(asked: Submission) -> None:
    zoom = asked.settings.zoom
    with open_stack(asked.stack) as film:
        asked.check()
        chunks = plan_chunks(film, asked.settings)
        pixel_nm = asked.camera_pixel_nm(film)
        typer.echo(
            f"{film.frame_count} frames of {film.height_px} x {film.width_px} pixels of "
            f"{pixel_nm:g} nm -> {film.height_px * zoom} x {film.width_px * zoom} "
            f"pixels of {pixel_nm / zoom:g} nm\n"
            f"{len(chunks)} requests of up to {chunks[0].frame_count} frames, "
            f"{asked.settings.in_flight} at once -> {asked.image}"
        )
