"""``recon-train halve`` and ``recon-train reference``: what TensorRT is given beside a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smlm_training.commands.door import door

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
        from smlm_training.delivery.card_table import card_table
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
