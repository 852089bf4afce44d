"""What the wheel holds: the models of the repository, and nothing of one machine's GPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fakes.places import ROOT

pytest.importorskip("hatchling", reason="hatchling is not installed: make .venv/dev")

from smlm_pipeline import contract


def test_plans_of_this_machine_stay_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("pipeline", "training", "model_repository"):
        shutil.copytree(ROOT / name, source / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("model.plan", "plan.json"):
        (source / "model_repository" / "unet" / "1" / name).touch()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert not {name for name in names if name.endswith(("model.plan", "plan.json"))}
    repository = "smlm_pipeline/model_repository"
    assert {f"{repository}/{model.name}/config.pbtxt" for model in contract.MODELS} <= names
    assert {"smlm_pipeline/contract.py", "smlm_training/cli.py"} <= names
    assert f"{repository}/unet/1/model.onnx" in names
