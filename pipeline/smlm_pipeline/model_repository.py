"""The model repository: its place, the names of its files, and the hash of a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError

NETWORK_FILE = "model.onnx"
"""The network of a version."""

REFERENCE_FILE = "reference.npz"
"""Reference frames and the network's answers to them, beside it; see ``compute.reference``."""

PLAN_FILE = "model.plan"
"""The TensorRT plan of the network for the GPU of this machine, beside it."""

PLAN_RECORD = "plan.json"
"""The record of how the plan was built, beside it."""

_INSTALLED = Path(__file__).parent / "model_repository"
_CHECKOUT = Path(__file__).parents[2] / "model_repository"


def find_model_repository(given: Path | None = None) -> Path:
    """Return the absolute path of the given repository, or of the installed one.

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
    """Return the network's file in the newest version of a model.

    Raises
    ------
    SettingError
        If there is none.
    """
    files = model_repository.glob(f"{model}/*/{NETWORK_FILE}")
    versions = {int(file.parent.name): file for file in files if file.parent.name.isdigit()}
    if not versions:
        raise SettingError(
            f"no network in {model_repository / model}: expected 1/{NETWORK_FILE}; "
            "publish one, or name another repository with --model-repository"
        )
    return versions[max(versions)]


def network_sha256(file: Path) -> str:
    """Return the SHA-256 of a network's file, in hexadecimal: the network's identity."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
