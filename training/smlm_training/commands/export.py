"""``recon-train export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smlm_training.commands.door import door

if TYPE_CHECKING:
    from smlm_training.delivery.export import Export


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
    film: Annotated[
        list[str] | None,
        typer.Option(
            help="Score it on this film alone (repeat for more), and leave robustness out: for "
            "networks that take long. By default all of both."
        ),
    ] = None,
) -> None:
    """Export a trained network to ONNX, with model.json and reference.npz beside it."""
    with door():
        from smlm_training.delivery.export import export_run

        report(export_run(folder, output, films=film or ()))


def report(done: Export) -> None:
    """Print what was exported, and a notice if it is large."""
    from smlm_training.delivery.export import SIZE_LIMIT_BYTES

    typer.echo(
        f"{done.path}: {done.answer.name}, {done.parameters:,} parameters, "
        f"{done.size_bytes / 1e6:.1f} MB, at most {done.parity_max_difference:.1e} from Keras "
        f"({done.parity_relative:.1e} of a channel's largest value)"
    )
    if done.size_bytes > SIZE_LIMIT_BYTES:
        typer.echo(
            f"recon-train: note: {done.path.name} has {done.size_bytes / 1e6:.1f} MB, more than "
            f"the {SIZE_LIMIT_BYTES / 1e6:.0f} MB that a deployment is meant to copy",
            err=True,
        )
