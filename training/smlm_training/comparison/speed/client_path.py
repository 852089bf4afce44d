"""The client's own path, from the opened file to the image in memory; loads nothing else."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import open_stack
from smlm_pipeline.transport import Transport


def through(film: Path, transport: Transport) -> None:
    """Reconstruct a film as ``recon-client submit`` does, and forget the image."""
    with open_stack(film) as stack:
        reconstruct(stack, transport, Settings())
