"""Copy the models that a server is to serve into a writable folder.

An image's own repository is read-only, and plans are written beside their networks; models
that are not served should cost neither a plan nor memory.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.errors import OutputError, SettingError
from smlm_pipeline.model_repository import find_model_repository


def stage(model_repository: Path, folder: Path, ensembles: list[str]) -> list[str]:
    """Copy ensembles and their steps, and return the names of the copied models.

    Parameters
    ----------
    model_repository : Path
        Source of the models.
    folder : Path
        Target; its contents of an earlier start are removed.
    ensembles : list of str
        Names of ``contract.ENSEMBLES``.

    Raises
    ------
    SettingError
        If there is no such ensemble.
    OutputError
        If the copy cannot be written.
    """
    names = _names(model_repository, ensembles)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            shutil.copytree(model_repository / name, folder / name)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}; name a writable folder with "
            "room for the models (RECON_RUN)"
        ) from error
    return names


def _names(model_repository: Path, ensembles: list[str]) -> list[str]:
    """List the names of ensembles and their steps, and check that the repository has them."""
    unknown = [name for name in ensembles if name not in contract.ENSEMBLES]
    if unknown or not ensembles:
        raise SettingError(
            f"RECON_ENSEMBLES names {', '.join(unknown) or 'nothing'}; expected some of "
            f"{', '.join(contract.ENSEMBLES)}"
        )
    steps = (step.name for name in ensembles for step in contract.ENSEMBLES[name].steps)
    names = list(dict.fromkeys([*steps, *ensembles]))
    missing = [name for name in names if not (model_repository / name).is_dir()]
    if missing:
        raise SettingError(
            f"{model_repository} lacks {', '.join(missing)}; expected all models of the ensembles: "
            "take a repository of this release"
        )
    return names


def copy_of_ensemble(ensemble: str, folder: Path) -> Path:
    """Copy an ensemble and its steps into a new ``model_repository`` in ``folder``."""
    copied = folder / "model_repository"
    stage(find_model_repository(), copied, [ensemble])
    return copied
