"""``recon-client plan``: prepare a server's models, TensorRT plans and memory before its start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.deploy import memory_pools, staging
from smlm_pipeline.deploy.plans.devices import open_tensorrt
from smlm_pipeline.deploy.plans.key import Choices
from smlm_pipeline.deploy.plans.prepare import Prepared, prepare
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import find_model_repository

_MIB = 1 << 20


_PRECISIONS = {"fp16": "fp16", "f32": "fp32"}
"""Precisions of plans as options name them, and as a network's file does."""

_MODELS, _PLANS, _MEMORY = "Models", "Plans", "Memory"
"""Panels of the help."""

app = typer.Typer(
    help="TensorRT plans for the GPU of this machine, and the memory that a server needs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Repository = Annotated[
    Path | None,
    typer.Option(
        envvar="RECON_MODEL_REPOSITORY",
        metavar="DIR",
        help="Repository whose networks get a plan; it is written to.",
        rich_help_panel=_MODELS,
    ),
]
Cache = Annotated[
    Path,
    typer.Option(
        envvar="RECON_PLAN_CACHE",
        metavar="DIR",
        help="Folder that keeps plans between starts; servers of one cluster may share it.",
        rich_help_panel=_PLANS,
    ),
]
Tf32 = Annotated[
    bool,
    typer.Option(
        envvar="RECON_TF32",
        help="Let tensor cores round FP32 factors to 11 bits: faster, coarser.",
        rich_help_panel=_PLANS,
    ),
]
WorkspaceMib = Annotated[
    int,
    typer.Option(
        min=1,
        help="Memory that one kernel may use beside the activations.",
        rich_help_panel=_MEMORY,
    ),
]
LargestTilePx = Annotated[
    int,
    typer.Option(
        envvar="RECON_LARGEST_TILE_PX",
        help="Largest tile to serve; a smaller one saves GPU memory.",
        rich_help_panel=_MEMORY,
    ),
]
Ensembles = Annotated[
    list[str] | None,
    typer.Option(
        help="Ensemble that is served; repeat it for several; by default all.",
        rich_help_panel=_MODELS,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        envvar="RECON_PRECISION",
        metavar="|".join(_PRECISIONS),
        help="Precision of the plans; by default FP16 where a network has it and its plan passes.",
        rich_help_panel=_PLANS,
    ),
]


@app.command()
def build(
    model_repository: Repository = None,
    cache: Cache = Path("plans"),
    precision: Precision = None,
    tf32: Tf32 = Choices.tf32,
    workspace_mib: WorkspaceMib = Choices.workspace_bytes // _MIB,
    largest_tile_px: LargestTilePx = contract.TILE_SIZES_PX[-1],
) -> None:
    """Put a plan beside the network of every model, from the cache or built now.

    Needs the GPU that will serve, TensorRT and CuPy. Ends with 0 only if every network
    has a plan that fits this GPU and whose answers are the network's. A failure withdraws
    earlier plans; a wrong option changes nothing.
    """
    with door():
        plans = prepare(
            model_repository or find_model_repository(),
            cache,
            open_tensorrt,
            precision=_precision(precision),
            choices=Choices(tf32=tf32, workspace_bytes=workspace_mib * _MIB),
            largest_tile_px=largest_tile_px,
            note=lambda line: typer.echo(line, err=True),
        )
        for plan in plans:
            typer.echo(_line(plan))


def _precision(option: str | None) -> str | None:
    """Read the option; empty is as if it were not given."""
    if not option:
        return None
    if option not in _PRECISIONS:
        raise SettingError(f"precision is {option!r}; expected {' or '.join(_PRECISIONS)} on a GPU")
    return _PRECISIONS[option]


def _line(plan: Prepared) -> str:
    """Describe a prepared plan in one line."""
    record = plan.record
    origin = "taken from the cache" if plan.from_cache else f"built in {record.build_s:.0f} s"
    return (
        f"{plan.model} version {plan.version}: {record.key['precision'].upper()}, {origin} for "
        f"{record.key['gpu']['name']}, largest difference {plan.difference:.1e} of "
        f"{record.tolerance:.0e} allowed, {sum(record.activation_bytes) / 1e9:.1f} GB of "
        "activations"
    )


@app.command()
def sizes(
    model: Ensembles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes as JSON.")] = False,
) -> None:
    """Print the flags of tritonserver that set its pools and shared memory, one a line."""
    with door(as_json=as_json):
        need = memory_pools.sizes(model or list(contract.ENSEMBLES))
        if as_json:
            print_json(need.as_dict())
        else:
            typer.echo("\n".join(need.flags()))


@app.command()
def stage(
    folder: Annotated[Path, typer.Argument(help="Folder of the copy.")],
    ensembles: Annotated[list[str], typer.Argument(help="Ensembles to be served.")],
    model_repository: Annotated[
        Path | None,
        typer.Option(
            envvar="RECON_MODEL_REPOSITORY", metavar="DIR", help="Repository to copy from."
        ),
    ] = None,
) -> None:
    """Copy the models of ENSEMBLES into FOLDER and print their names."""
    with door("recon-server"):
        names = staging.stage(find_model_repository(model_repository), folder, ensembles)
        typer.echo(" ".join(names))


if __name__ == "__main__":  # the start of a container loads no other part of the client
    app(prog_name="recon-client plan")
