"""``recon-client plan`` and ``python -m smlm_pipeline.cli.plan``: output and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes import cupy
from fakes import tensorrt as trt
from fakes.plans import write_repository
from smlm_pipeline import contract
from smlm_pipeline.cli.app import app
from smlm_pipeline.deploy import memory_pools


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "models")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "cupy", cupy)


def _build(repository: Path, *more: str) -> Any:
    arguments = ["--model-repository", str(repository), "--cache", str(repository.parent / "cache")]
    return CliRunner().invoke(app, ["plan", "build", *arguments, *more])


def test_build_tells_what_it_did(repository: Path, gpu: None) -> None:
    result = _build(repository)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("unet version 1: FP32, built in ")
    assert "s for NVIDIA A10, largest difference" in result.stdout
    assert "of 1e-03 allowed" in result.stdout
    assert (repository / "unet" / "1" / "model.plan").exists()
    again = _build(repository).stdout
    assert again.startswith("unet version 1: FP32, taken from the cache for NVIDIA A10")


def test_fp16_is_told_and_can_be_turned_off(
    repository: Path, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = repository / "unet" / "1"
    (version / "model.fp16.onnx").write_bytes((version / "model.onnx").read_bytes())
    for variable, precision in (("", "FP16"), ("fp16", "FP16"), ("f32", "FP32")):
        monkeypatch.setenv("RECON_PRECISION", variable)
        assert _build(repository).stdout.startswith(f"unet version 1: {precision}, ")


def test_options_reach_the_compiler(repository: Path, gpu: None) -> None:
    result = _build(repository, "--tf32", "--workspace-mib", "7", "--largest-tile-px", "128")
    assert result.exit_code == 0, result.output
    config = trt.Builder.last.config
    assert trt.BuilderFlag.TF32 in config.flags
    assert config.pools[trt.MemoryPoolType.WORKSPACE] == 7 << 20
    largest = [profile.shapes["FRAMES"][2][:2] for profile in config.profiles]
    assert largest == [[1024, 64], [256, 128], [1, 64], [1, 64]]


def test_a_repository_with_a_stale_reference(repository: Path, gpu: None) -> None:
    (repository / "unet" / "1" / "reference.npz").unlink()
    result = _build(repository)
    assert (result.exit_code, result.stdout) == (5, "")
    assert "by which a plan is judged; write it again with 'recon-train reference" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--largest-tile-px", "100"], 2, "largest tile is 100 pixels"),
        (["--precision", "bf16"], 2, "precision is 'bf16'; expected fp16 or f32 on a GPU"),
        (["--precision", "fp16"], 5, "holds no network in FP16; expected FP32"),
        (["--model-repository", "nowhere"], 2, "nowhere has none of the networks unet"),
        (["--cache", "/dev/null/cache"], 7, "plan cache /dev/null/cache cannot be written to"),
    ],
)
def test_refusals_have_a_code_and_a_reason(
    arguments: list[str], code: int, message: str, repository: Path, gpu: None
) -> None:
    result = _build(repository, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_a_wrong_option_is_told_first_and_touches_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    plan = repository / "unet" / "1" / "model.plan"
    plan.write_bytes(b"whatever")
    result = _build(repository, "--largest-tile-px", "300")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "largest tile is 300 pixels; expected one of 64, 128" in result.stderr
    assert plan.exists()


def test_a_machine_without_tensorrt_says_how_to_get_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    plan = repository / "unet" / "1" / "model.plan"
    plan.write_bytes(b"of whom, nobody here can tell")
    result = _build(repository)
    assert (result.exit_code, result.stdout) == (8, "")
    assert not plan.exists()
    assert "recon-client: a TensorRT plan needs the Python package tensorrt" in result.stderr
    assert "pip install tensorrt" in result.stderr


def test_sizes_are_flags_that_a_shell_can_hand_on() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smlm_pipeline.cli.plan", "sizes"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert lines == done.stdout.split()
    assert lines == memory_pools.sizes(list(contract.ENSEMBLES)).flags()


def test_sizes_of_one_model_as_json() -> None:
    result = CliRunner().invoke(app, ["plan", "sizes", "--model", "reconstruction", "--json"])
    assert result.exit_code == 0, result.output
    sizes = memory_pools.sizes(["reconstruction"]).as_dict()
    assert json.loads(result.stdout) == {"schema_version": 1, **sizes}


def test_sizes_of_nothing() -> None:
    result = CliRunner().invoke(app, ["plan", "sizes", "--model", "segmentation"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no model segmentation; expected some of reconstruction, " in result.stderr


def test_nothing_heavy_is_loaded_for_a_plan() -> None:
    """Each start of a server waits for what is loaded."""
    code = "import sys, smlm_pipeline.cli.plan; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint(
        {"onnx", "onnxruntime", "tritonclient", "tifffile", "PIL", "numba", "scipy"}
    )
    assert loaded.isdisjoint({"tensorrt", "cupy", "smlm_training", "tensorflow"})
