"""Where the model repository lies: in a checkout, in an installed wheel, or where told."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError

_INSTALLED = Path(__file__).parent / "model_repository"
_CHECKOUT = Path(__file__).parents[2] / "model_repository"


def find_model_repository(given: Path | None = None) -> Path:
    """The folder that Triton is started on, as an absolute path.

    Raises
    ------
    SettingError
        If there is no ``reconstruction`` model in it.
    """
    candidates = [given] if given is not None else [_INSTALLED, _CHECKOUT]
    for folder in candidates:
        if (folder / contract.RECONSTRUCTION.name / "config.pbtxt").exists():
            return folder.resolve()
    raise SettingError(
        f"no model repository at {candidates[-1]}: expected a folder with "
        f"{contract.RECONSTRUCTION.name}/config.pbtxt; name one with --model-repository"
    )


def network_file(model_repository: Path, model: str) -> Path:
    """The newest ``model.onnx`` of one of the repository's networks.

    Raises
    ------
    SettingError
        If there is none.
    """
    files = model_repository.glob(f"{model}/*/model.onnx")
    versions = {int(file.parent.name): file for file in files if file.parent.name.isdigit()}
    if not versions:
        raise SettingError(
            f"no network in {model_repository / model}: expected 1/model.onnx; "
            "publish one, or name another repository with --model-repository"
        )
    return versions[max(versions)]
