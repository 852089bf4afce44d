"""Options that several commands of ``recon-client`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract

Server = Annotated[
    str | None,
    typer.Option(
        envvar="RECON_SERVER",
        metavar="HOST:PORT[,...]",
        help="gRPC endpoint of a running Triton server, or of several that share the work; "
        "without it an embedded one is started.",
        rich_help_panel="Engine",
    ),
]
Repository = Annotated[
    Path | None,
    typer.Option(
        "--model-repository",
        envvar="RECON_MODEL_REPOSITORY",
        metavar="DIR",
        help="Model repository of the embedded server and of --engine local.",
        rich_help_panel="Engine",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help=f"Model to ask: the image is drawn from detections by default; "
        f"{contract.RECONSTRUCTION_FAST.name!r} takes a third of the time and errs more, "
        f"{contract.RECONSTRUCTION_MAP.name!r} is the map network's image, for comparison.",
        rich_help_panel="Engine",
    ),
]
