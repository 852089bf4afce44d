"""``recon-bench ship``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_door, load_tensorflow_quietly
from smlm_bench.networks.places import TRAINED_FOLDER
from smlm_pipeline.cli.lazy_commands import imported_when_used

with imported_when_used():
    from smlm_bench.networks import shipping


def ship(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder of the comparison's networks; by default the checkout's.",
        ),
    ] = None,
) -> None:
    """Add the network of a finished run to those that the checkout's comparison brings."""
    with bench_door(if_interrupted="no network is half-written"):
        load_tensorflow_quietly()
        shipped = shipping.ship_run(run, folder or TRAINED_FOLDER)
        typer.echo(f"{shipped.parent}: {shipped.stat().st_size / 1e6:.1f} MB")
