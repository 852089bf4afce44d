"""``recon-train publish``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_training.commands import train_door
from smlm_training.commands.export import print_export

with imported_when_used():
    from smlm_training.delivery import card, export
    from smlm_training.delivery import publish as publishing


def publish(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_ONNX",
            help="Folder of a finished run, or an exported network with its card beside it.",
        ),
    ],
    model_repository: Annotated[
        Path | None,
        typer.Option(help="Repository to publish in; by default that of the checkout."),
    ] = None,
    model: Annotated[
        Literal["unet", "unet_fast", "unet_map"] | None,
        typer.Option(help="Model to publish as; by default the one that the card names."),
    ] = None,
) -> None:
    """Put a network into a model repository, as the next version of its model.

    A server sees the version whole or not at all, and serves it at its next start or poll. The
    model's configurations then state the class borders of its card. On a GPU, build the TensorRT
    plan of the new version first.
    """
    with train_door(), tempfile.TemporaryDirectory() as scratch:
        repository = publishing.writable_repository(model_repository)
        if network.is_dir():
            exported = export.export_run(network, Path(scratch) / "model.onnx")
            print_export(exported)
            network = exported.path
        _print(publishing.publish(network, repository, model=model))


def _print(published: publishing.Published) -> None:
    """The new version and its scores, and what remains to be done for it."""
    typer.echo(f"{published.model} version {published.version}: {published.folder}")
    before = "" if published.version_before is None else f"version {published.version_before}"
    Console().print(card.card_table(published.card, published.card_before, before=before))
    if published.half.path is None:
        typer.echo(
            f"recon-train: note: no variant in FP16 for GPUs: {published.half.reason}",
            err=True,
        )
    for warning in published.card.get("warnings", ()):
        typer.echo(f"recon-train: warning: {warning}", err=True)
    if published.plan_missing:
        typer.echo(
            f"recon-train: note: {before} has a TensorRT plan; build that of version "
            f"{published.version} before a server on a GPU loads it (recon-client plan build)",
            err=True,
        )
