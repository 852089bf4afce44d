"""``recon-client plan``: what a server needs before it starts: models, TensorRT plans, memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.deploy import memory_pools, staging
from smlm_pipeline.deploy.plans.devices import open_tensorrt
from smlm_pipeline.deploy.plans.key import Choices
from smlm_pipeline.deploy.plans.prepare import Prepared, prepare
from smlm_pipeline.model_repository import find_model_repository
from smlm_pipeline.settings import Settings

_MIB = 1 << 20


app = typer.Typer(
    help="TensorRT plans for the GPU of this machine, and the memory that a server needs.",
    no_args_is_help=True,
)


Repository = Annotated[
    Path | None,
    typer.Option(
        envvar="RECON_MODEL_REPOSITORY",
        metavar="DIR",
        help="Repository whose networks get a plan; it is written to.",
    ),
]


Cache = Annotated[
    Path,
    typer.Option(
        envvar="RECON_PLAN_CACHE",
        metavar="DIR",
        help="Where plans are kept between starts; servers of one cluster may share it.",
    ),
]


Tf32 = Annotated[
    bool,
    typer.Option(
        envvar="RECON_TF32",
        help="Let tensor cores round FP32 factors to 11 bits: faster, coarser.",
    ),
]


WorkspaceMib = Annotated[
    int, typer.Option(min=1, help="Memory that one kernel may use beside the activations.")
]


LargestTilePx = Annotated[
    int,
    typer.Option(
        envvar="RECON_LARGEST_TILE_PX",
        help="Largest tile to serve; a smaller one spares a small GPU memory.",
    ),
]


@app.command()
def build(
    model_repository: Repository = None,
    cache: Cache = Path("plans"),
    tf32: Tf32 = Choices.tf32,
    workspace_mib: WorkspaceMib = Choices.workspace_bytes // _MIB,
    largest_tile_px: LargestTilePx = contract.TILE_SIZES_PX[-1],
) -> None:
    """Put a plan beside the network of every model, from the cache or built now.

    Needs the GPU that will serve, TensorRT and CuPy. Ends with 0 only if every network
    has a plan that fits this GPU and answers as the network does. A failure takes away
    the plans that lay there; a wrong option leaves all as it was.
    """
    with door():
        done = prepare(
            model_repository or find_model_repository(),
            cache,
            open_tensorrt,
            choices=Choices(tf32=tf32, workspace_bytes=workspace_mib * _MIB),
            largest_tile_px=largest_tile_px,
            tell=lambda line: typer.echo(line, err=True),
        )
        for each in done:
            typer.echo(_told(each))


def _told(done: Prepared) -> str:
    record = done.record
    origin = "taken from the cache" if done.from_cache else f"built in {record.build_s:.0f} s"
    return (
        f"{done.model} version {done.version}: {origin} for {record.gpu}, largest difference "
        f"{done.difference:.1e} of {record.tolerance:.0e} allowed, "
        f"{sum(record.activation_bytes) / 1e9:.1f} GB of activations"
    )


@app.command()
def sizes(
    tile_px: Annotated[
        int, typer.Option(envvar="RECON_LARGEST_TILE_PX", help="Largest tile edge.")
    ] = Settings.tile_px,
    frames: Annotated[
        int | None, typer.Option(help="Frames of a request; by default what the client sends.")
    ] = None,
    zoom: Annotated[int, typer.Option(help="Fine pixels per camera pixel.")] = Settings.zoom,
    in_flight: Annotated[
        int, typer.Option(help="Requests for one network at once, of all clients.")
    ] = memory_pools.IN_FLIGHT,
    gpus: Annotated[int, typer.Option(min=1, help="How many GPUs the server uses.")] = 1,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Ensemble that is served, several times for several; default all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes as JSON.")] = False,
) -> None:
    """Print the flags of tritonserver that set its pools and shared memory, one a line."""
    with door():
        need = memory_pools.sizes(
            model or list(contract.ENSEMBLES),
            tile_px=tile_px,
            frames=frames,
            zoom=zoom,
            in_flight=in_flight,
        )
        if as_json:
            typer.echo(json.dumps(need.as_dict(), indent=2))
        else:
            typer.echo("\n".join(need.flags(gpus)))


@app.command()
def stage(
    folder: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    ensembles: Annotated[list[str], typer.Argument(help="What is to be served.")],
    model_repository: Annotated[
        Path | None,
        typer.Option(envvar="RECON_MODEL_REPOSITORY", help="Where it comes from."),
    ] = None,
) -> None:
    """Copy the models of ENSEMBLES into FOLDER and print their names."""
    with door("recon-server"):
        names = staging.stage(find_model_repository(model_repository), folder, ensembles)
        typer.echo(" ".join(names))


if __name__ == "__main__":  # a container's start loads nothing else of the client
    app(prog_name="recon-client plan")
