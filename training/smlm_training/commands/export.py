"""``recon-train export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

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


Exported = Annotated[
    Path, typer.Argument(metavar="ONNX", help="An exported network, with its card beside it.")
]


def halve(
    network: Exported,
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
) -> None:
    """Write a network's FP16 variant, with its scores beside the FP32 ones in its card.

    Its tensors stay FP32, and so do the layers that make the answer. Scores the films that
    the FP32 card tells of, which takes minutes; refuses where the picture gets worse.
    """
    with door():
        from smlm_training.delivery.card import card_table
        from smlm_training.delivery.half_card import halve_network

        done = halve_network(network, output)
        typer.echo(f"{done.path}: FP16 inside, {done.size_bytes / 1e6:.1f} MB")
        Console().print(card_table(done.card, done.card_before, before="in FP32"))


def reference(network: Exported) -> None:
    """Write reference.npz beside a network: frames and answers that a TensorRT plan is judged by.

    Export, halve and publish do it too.
    """
    with door():
        from smlm_pipeline.errors import SettingError
        from smlm_training.delivery.reference import make_reference

        if not network.is_file():
            raise SettingError(f"no {network}; expected an exported network")
        typer.echo(make_reference(network))
