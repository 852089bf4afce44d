"""``recon-client plan``: build the plans of a repository; sizes of a server's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.door import EXIT_CODES, door
from smlm_pipeline.plans.devices import open_tensorrt
from smlm_pipeline.plans.key import Choices
from smlm_pipeline.plans.prepare import Prepared, prepare
from smlm_pipeline.repository import find_model_repository
from smlm_pipeline.sizing.command import sizes

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


@app.command(epilog=EXIT_CODES)
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


app.command(epilog=EXIT_CODES)(sizes)
