"""Options that several commands of ``recon-client`` share, and the panels of their help."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract

ENGINE_PANEL = "Engine"
"""Panel of the options that choose the server and the network."""

SERVER_VARIABLE, ADDRESSES = "RECON_SERVER", "HOST:PORT[,...]"
"""Environment variable of --server, and the form of its value."""

OUTPUT_PANEL = "Output"
"""Panel of the options that choose what is printed and written."""

Server = Annotated[
    str | None,
    typer.Option(
        envvar=SERVER_VARIABLE,
        metavar=ADDRESSES,
        help="gRPC endpoint of a running Triton server, or of several that share the work; "
        "without it an embedded one is started.",
        rich_help_panel=ENGINE_PANEL,
    ),
]
Repository = Annotated[
    Path | None,
    typer.Option(
        "--model-repository",
        envvar="RECON_MODEL_REPOSITORY",
        metavar="DIR",
        help="Model repository of the embedded server and of --engine local.",
        rich_help_panel=ENGINE_PANEL,
    ),
]


class PrecisionName(str, enum.Enum):
    """Precision of the network on a CPU."""

    BF16 = "bf16"
    F32 = "f32"


Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        help="Precision of the network on this machine's CPU; by default bf16, where the processor "
        "has it and the network's card allows it.",
        show_default=False,
        rich_help_panel=ENGINE_PANEL,
    ),
]


def precision_name(chosen: PrecisionName | None) -> str | None:
    """One of ``settings.PRECISIONS``; None where no option chose one."""
    return None if chosen is None else chosen.value


Model = Annotated[
    str,
    typer.Option(
        help=f"Ensemble to use: {contract.RECONSTRUCTION.name!r} draws the image from detections; "
        f"{contract.RECONSTRUCTION_FAST.name!r} takes a third of the time, with larger errors; "
        f"{contract.RECONSTRUCTION_MAP.name!r} is the map network's image, for comparison.",
        rich_help_panel=ENGINE_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "-q", "--quiet", help="Print warnings and errors only.", rich_help_panel=OUTPUT_PANEL
    ),
]

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the facts as JSON; implies no progress bar.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
