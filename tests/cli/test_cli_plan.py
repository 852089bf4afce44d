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
    assert result.stdout.startswith("unet version 1: built in ")
    assert "s for NVIDIA A10, largest difference" in result.stdout
    assert "of 1e-03 allowed" in result.stdout
    assert (repository / "unet" / "1" / "model.plan").exists()
    assert _build(repository).stdout.startswith("unet version 1: taken from the cache for NVIDIA")


def test_options_reach_the_compiler(repository: Path, gpu: None) -> None:
    result = _build(repository, "--tf32", "--workspace-mib", "7", "--largest-tile-px", "128")
    assert result.exit_code == 0, result.output
    config = trt.Builder.last.config
    assert trt.BuilderFlag.TF32 in config.flags
    assert config.pools[trt.MemoryPoolType.WORKSPACE] == 7 << 20
    largest = [profile.shapes["NORMALIZED"][2][2] for profile in config.profiles]
    assert largest == [64, 128, 64, 64]


def test_a_repository_with_a_stale_reference(repository: Path, gpu: None) -> None:
    (repository / "unet" / "1" / "reference.npz").unlink()
    result = _build(repository)
    assert (result.exit_code, result.stdout) == (5, "")
    assert "by which a plan is judged; write it again with 'recon-train reference" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--largest-tile-px", "100"], 2, "largest tile is 100 pixels"),
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
        [sys.executable, "-m", "smlm_pipeline.cli.plan", "sizes", "--gpus", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert lines == done.stdout.split()
    assert [line.split("=")[0] for line in lines] == [
        *["--cuda-memory-pool-byte-size"] * 2,
        "--pinned-memory-pool-byte-size",
        *["--backend-config"] * 2,
    ]
    assert [line.split("=")[1].split(":")[0] for line in lines[:2]] == ["0", "1"]


def test_sizes_of_one_model_as_json() -> None:
    arguments = ["plan", "sizes", "--model", "reconstruction", "--tile-px", "128", "--frames", "8"]
    result = CliRunner().invoke(app, [*arguments, "--in-flight", "2", "--zoom", "10", "--json"])
    assert result.exit_code == 0, result.output
    expected = memory_pools.sizes(["reconstruction"], tile_px=128, frames=8, zoom=10, in_flight=2)
    assert json.loads(result.stdout) == expected.as_dict()


def test_sizes_for_many_clients() -> None:
    """More requests than one client may have under way, which is 64."""
    arguments = ["plan", "sizes", "--model", "reconstruction", "--in-flight", "200"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["normalized_bytes_most"] == 8 << 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "segmentation"], "no model 'segmentation'; expected reconstruction or"),
        (["--tile-px", "1000"], "tile is 1000; expected a whole number from 64 to 512"),
        (["--in-flight", "0"], "in-flight is 0; expected a whole number from 1"),
        (["--frames", "100"], "chunk-frames is 100; expected a whole number from 1 to 64"),
    ],
)
def test_sizes_of_nothing(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["plan", "sizes", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_nothing_heavy_is_loaded_for_a_plan() -> None:
    """Each start of a server waits for what is loaded."""
    code = "import sys, smlm_pipeline.cli.plan; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"onnx", "onnxruntime", "tritonclient", "tifffile", "PIL", "scipy"})
    assert loaded.isdisjoint({"tensorrt", "cupy", "smlm_training", "tensorflow"})
