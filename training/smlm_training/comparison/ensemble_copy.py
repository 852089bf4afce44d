"""A model repository of one ensemble alone, which a server starts on sooner than on all."""

from __future__ import annotations

import shutil
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.repository import find_model_repository


def copy_of_ensemble(ensemble: str, folder: Path) -> Path:
    """Copy an ensemble and its steps into a new ``model_repository`` in ``folder``."""
    repository, copied = find_model_repository(), folder / "model_repository"
    for name in (ensemble, *(step.name for step in contract.STEPS[ensemble])):
        shutil.copytree(repository / name, copied / name)
    return copied
