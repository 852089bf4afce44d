"""Contents of the wheel: programs and models, without plans and the comparison's networks."""

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

SIZE_MB_MAX = 7.5
"""The weights of three networks, in FP32 and FP16; those of the comparison would add megabytes."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, to which a machine's plans were added."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("pipeline", "training", "model_repository"):
        shutil.copytree(ROOT / name, source / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("model.plan", "plan.json"):
        (source / "model_repository" / "unet" / "1" / name).touch()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_plans_of_this_machine_stay_out(names: set[str]) -> None:
    assert not {name for name in names if name.endswith(("model.plan", "plan.json"))}
    repository = "smlm_pipeline/model_repository"
    assert {f"{repository}/{model.name}/config.pbtxt" for model in contract.MODELS} <= names
    assert {"smlm_pipeline/contract.py", "smlm_training/cli.py"} <= names
    assert f"{repository}/unet/1/model.onnx" in names


def test_networks_of_the_comparison_stay_out(names: set[str], wheel: Path) -> None:
    assert (ROOT / "training" / "smlm_bench" / "trained").is_dir(), "they are in a checkout"
    size_mb = wheel.stat().st_size / 1e6
    message = f"the wheel has {size_mb:.1f} MB"
    assert not {name for name in names if "/trained/" in name or name.endswith(".keras")}, message
    assert size_mb < SIZE_MB_MAX, message


def test_the_door_of_the_benchmarks_leads_somewhere(wheel: Path, names: set[str]) -> None:
    """The server's image runs ``recon-bench gpu-kernels``, so the wheel has the bench's code."""
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "recon-bench = smlm_bench.cli:app" in archive.read(entry_points).decode()
    assert {"smlm_bench/cli.py", "smlm_bench/__main__.py", "smlm_bench/gpu/kernels.py"} <= names


def test_files_of_the_page_and_the_schemas_are_in_it(names: set[str]) -> None:
    package = "smlm_pipeline"
    files = {f"{package}/page/page.{ending}" for ending in ("html", "css", "js")}
    schemas = {f"{package}/cli/{name}.schema.json" for name in ("output", "report")}
    assert files | schemas <= names
