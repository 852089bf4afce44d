"""``recon-train export``, ``halve`` and ``reference``: networks as files that a server loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import HALF_FILE
from smlm_training.commands import train_door

with imported_when_used():
    from smlm_training.delivery import card, half_card, half_file
    from smlm_training.delivery import export as exporting
    from smlm_training.delivery import reference as references

_Network = Annotated[
    Path, typer.Argument(metavar="ONNX", help="An exported network, with its card beside it.")
]
_Output = Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")]


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: _Output,
    film: Annotated[
        list[str] | None,
        typer.Option(
            help="Score on this film only (repeat for more) and skip robustness, for slow "
            "networks. By default all films are scored, and robustness."
        ),
    ] = None,
) -> None:
    """Export a trained network to ONNX, with model.json and reference.npz beside it."""
    with train_door():
        print_export(exporting.export_run(folder, output, films=film or ()))


def print_export(export: exporting.Export) -> None:
    """Print what was exported, and a notice if it is large.

    Parameters
    ----------
    export : Export
        The exported network.
    """
    typer.echo(
        f"{export.path}: {export.answer.name}, {export.parameters:,} parameters, "
        f"{export.size_bytes / 1e6:.1f} MB, at most {export.parity_max_difference:.1e} from Keras "
        f"({export.parity_relative:.1e} of a channel's largest value)"
    )
    limit_bytes = exporting.SIZE_LIMIT_BYTES
    if export.size_bytes > limit_bytes:
        typer.echo(
            f"recon-train: note: {export.path.name} has {export.size_bytes / 1e6:.1f} MB, more "
            f"than the {limit_bytes / 1e6:.0f} MB that a deployment is meant to copy",
            err=True,
        )


def halve(network: _Network, output: _Output) -> None:
    """Write a network's FP16 variant, with its scores beside the FP32 ones in its card.

    The normalisation and the layers of the answer stay FP32. Scores the films of the FP32 card,
    which takes minutes, and refuses the variant if its images are worse.
    """
    with train_door():
        halved = half_card.halve_network(network, output)
        typer.echo(f"{halved.path}: FP16 inside, {halved.size_bytes / 1e6:.1f} MB")
        Console().print(card.card_table(halved.card, halved.card_before, before="in FP32"))


def reference(network: _Network) -> None:
    """Write what TensorRT plans are checked by and made of beside a network.

    These are reference.npz, frames and answers, and model.fp16.onnx, the network in FP16, if its
    answers are close enough. Publish writes both, export and halve the reference.
    """
    with train_door():
        if not network.is_file():
            raise SettingError(f"no {network}; expected an exported network")
        typer.echo(references.make_reference(network))
        half = half_file.write_half(network)
        if half.path is not None:
            typer.echo(f"{half.path}: at most {half.difference:.1e} from FP32")
        else:
            typer.echo(f"recon-train: note: no {HALF_FILE}: {half.reason}", err=True)
