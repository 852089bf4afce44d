"""A network to publish, and a repository to publish it to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from smlm_pipeline import contract

_NO_ONNX = "onnx is not installed: pip install .[train]"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    networks = pytest.importorskip("fakes.networks", reason=_NO_ONNX)
    file: Path = networks.write_network(tmp_path / "exported")
    return file


@pytest.fixture
def repository(model_repository: Path, tmp_path: Path) -> Path:
    """A copy with one version of each network."""
    networks = pytest.importorskip("fakes.networks", reason=_NO_ONNX)
    for model in ("reconstruction", *contract.NETWORKS):
        shutil.copytree(model_repository / model, tmp_path / "models" / model)
        if model != "reconstruction":
            networks.write_card(tmp_path / "models" / model / "1" / "model.onnx")
    return tmp_path / "models"
