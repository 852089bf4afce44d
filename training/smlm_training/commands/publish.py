"""``recon-train publish``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from smlm_training.commands.door import door
from smlm_training.commands.export import report

if TYPE_CHECKING:
    from smlm_training.delivery.publish import Published


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

    A server sees the version whole or not at all, and serves it at its next start or poll. On a
    GPU, build the TensorRT plan of the new version first.
    """
    with door(), tempfile.TemporaryDirectory() as scratch:
        from smlm_training.delivery.publish import publish as put
        from smlm_training.delivery.publish import writable_repository

        repository = writable_repository(model_repository)
        if network.is_dir():
            network = _exported(network, Path(scratch))
        _report(put(network, repository, model=model))


def _exported(run: Path, scratch: Path) -> Path:
    from smlm_training.delivery.export import export_run

    done = export_run(run, scratch / "model.onnx")
    report(done)
    return done.path


def _report(done: Published) -> None:
    from smlm_training.delivery.card import card_table

    typer.echo(f"{done.model} version {done.version}: {done.folder}")
    before = "" if done.version_before is None else f"version {done.version_before}"
    Console().print(card_table(done.card, done.card_before, before=before))
    for warning in done.card.get("warnings", ()):
        typer.echo(f"recon-train: warning: {warning}", err=True)
    if done.plan_missing:
        typer.echo(
            f"recon-train: note: {before} has a TensorRT plan; build that of version "
            f"{done.version} before a server on a GPU loads it (recon-client plan build)",
            err=True,
        )
