"""A repository ends with plans that fit and passed, or without a plan and with an error."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import DETECTIONS, MAP, write_network
from fakes.plans import RuntimeCompiler, write_repository
from smlm_pipeline.deploy.plans.compiler import Compiled
from smlm_pipeline.deploy.plans.key import Choices, Gpu, sha256
from smlm_pipeline.deploy.plans.prepare import Prepared, prepare
from smlm_pipeline.errors import ContractError, GpuMemoryError, OutputError, PlanError, SettingError
from smlm_training.delivery.reference import make_reference

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="plans are built on Linux")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "models")


@pytest.fixture
def compiler(tmp_path: Path) -> RuntimeCompiler:
    return RuntimeCompiler(tmp_path)


@pytest.fixture
def version(repository: Path) -> Path:
    return repository / "unet" / "1"


def _prepare(
    repository: Path,
    compiler: RuntimeCompiler,
    *,
    tf32: bool = False,
    precision: str | None = None,
    lines: list[str] | None = None,
) -> list[Prepared]:
    return prepare(
        repository,
        repository.parent / "cache",
        lambda: compiler,
        precision=precision,
        choices=Choices(tf32=tf32),
        largest_tile_px=512,
        note=(lines if lines is not None else []).append,
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_plan_is_built_once(repository: Path, version: Path, compiler: RuntimeCompiler) -> None:
    lines: list[str] = []
    (first,) = _prepare(repository, compiler, lines=lines)
    assert (first.model, first.version, first.from_cache) == ("unet", "1", False)
    assert first.difference < 1e-6
    assert lines == ["building the plan of unet in FP32 for NVIDIA A10: minutes"]
    plan = (version / "model.plan").read_bytes()
    assert plan.endswith((version / "model.onnx").read_bytes())
    (second,) = _prepare(repository, compiler, lines=lines)
    assert second.from_cache
    assert second.record == first.record
    assert (compiler.builds, len(lines)) == (1, 1)
    assert (version / "model.plan").read_bytes() == plan


def test_the_record_lies_beside_the_plan(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    (done,) = _prepare(repository, compiler)
    told = json.loads((version / "plan.json").read_text())
    assert told["key"]["gpu"]["name"] == "NVIDIA A10"
    assert told["key"]["precision"] == "fp32"
    assert told["activation_bytes"] == [1000, 2000, 3000, 4000]
    assert told["largest_difference"] == done.difference <= told["tolerance"] == 1e-3
    assert _names(version) == [
        *("model.json", "model.onnx", "model.plan", "plan.json", "reference.npz"),
    ]


def test_a_new_container_takes_the_plan_from_the_cache(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    _prepare(repository, compiler)
    for name in ("model.plan", "plan.json"):
        (version / name).unlink()
    (done,) = _prepare(repository, compiler)
    assert (done.from_cache, compiler.builds) == (True, 1)
    assert {"model.plan", "plan.json"} <= set(_names(version))


@pytest.mark.parametrize(
    "different",
    [
        {"version": "11.0.1"},
        {"gpu": Gpu("NVIDIA L4", "8.9", 58)},
        {"gpu": Gpu("NVIDIA A10 MIG 1g.6gb", "8.6", 14)},
    ],
    ids=["tensorrt", "gpu", "slice"],
)
def test_another_machine_builds_its_own(
    different: dict[str, Any], repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    _prepare(repository, compiler)
    elsewhere = replace(compiler, **different)
    (done,) = _prepare(repository, elsewhere)
    assert not done.from_cache
    assert elsewhere.builds == compiler.builds + 1
    assert elsewhere.load((version / "model.plan").read_bytes())
    (again,) = _prepare(repository, compiler)
    assert again.from_cache
    assert compiler.load((version / "model.plan").read_bytes())


def test_another_arithmetic_is_another_plan(repository: Path, compiler: RuntimeCompiler) -> None:
    _prepare(repository, compiler)
    (done,) = _prepare(repository, compiler, tf32=True)
    assert (done.from_cache, done.record.tolerance) == (False, 1e-2)


def test_a_published_network_gets_a_plan_of_its_own(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    _prepare(repository, compiler)
    newer = write_network(repository / "unet" / "2", DETECTIONS.replace("7}", "8}"))
    make_reference(newer)
    (done,) = _prepare(repository, compiler)
    assert (done.version, done.from_cache) == ("2", False)
    assert (newer.with_name("model.plan")).read_bytes().endswith(newer.read_bytes())


def test_every_network_gets_one(repository: Path, compiler: RuntimeCompiler) -> None:
    write_repository(repository.parent / "other", MAP, model="unet_map")
    (repository.parent / "other" / "unet_map").rename(repository / "unet_map")
    assert [each.model for each in _prepare(repository, compiler)] == ["unet", "unet_map"]
    assert (repository / "unet_map" / "1" / "model.plan").exists()


def test_builds_learn_from_each_other(repository: Path, compiler: RuntimeCompiler) -> None:
    _prepare(repository, compiler)
    _prepare(repository, compiler, tf32=True)
    assert compiler.timing_caches == [b"", b"learnt 1"]


# --- precision ------------------------------------------------------------------------------


@pytest.fixture
def half(version: Path) -> bytes:
    """A file in FP16 beside the network, which answers nearly as it does."""
    nearly = write_network(version.parents[2] / "half", DETECTIONS.replace("7}", "7.001}"))
    network = nearly.read_bytes()
    (version / "model.fp16.onnx").write_bytes(network)
    return network


def test_fp16_is_taken_where_it_is_there_and_passes(
    repository: Path, version: Path, half: bytes, compiler: RuntimeCompiler
) -> None:
    (done,) = _prepare(repository, compiler)
    assert (version / "model.plan").read_bytes().endswith(half)
    assert (done.record.key["precision"], done.record.tolerance) == ("fp16", 1e-2)
    assert done.record.key["network_sha256"] == sha256(half)
    assert 1e-5 < done.difference < 1e-2, "it is judged by the answers of the network in FP32"
    (again,) = _prepare(repository, compiler)
    assert (again.from_cache, again.record) == (True, done.record)


@pytest.mark.parametrize("failing", ["gate", "build"])
def test_a_network_that_does_not_pass_in_fp16_is_served_in_fp32(
    failing: str,
    repository: Path,
    version: Path,
    half: bytes,
    compiler: RuntimeCompiler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A test replaces the file by another network, or the compiler refuses it."""
    if failing == "gate":
        other = write_network(repository.parent / "other", DETECTIONS.replace("7}", "8}"))
        (version / "model.fp16.onnx").write_bytes(other.read_bytes())
    else:
        build = compiler.compile

        def compile_fp32(network: bytes, *rest: Any) -> Compiled:
            if network == half:
                raise PlanError("no kernels in FP16")
            return build(network, *rest)

        monkeypatch.setattr(compiler, "compile", compile_fp32)
    lines: list[str] = []
    (done,) = _prepare(repository, compiler, lines=lines)
    assert done.record.key["precision"] == "fp32"
    assert (version / "model.plan").read_bytes().endswith((version / "model.onnx").read_bytes())
    (told,) = (line for line in lines if "served in FP32 instead" in line)
    assert told.endswith("set RECON_PRECISION=f32 to save this attempt at the next start")


def test_who_asks_for_fp16_gets_that_or_an_error(
    repository: Path, version: Path, half: bytes, compiler: RuntimeCompiler
) -> None:
    (done,) = _prepare(repository, compiler, precision="fp16")
    assert done.record.key["precision"] == "fp16"
    compiler.error = 100.0
    with pytest.raises(PlanError, match="answers the reference frames up to"):
        _prepare(repository, compiler, precision="fp16")
    assert "model.plan" not in _names(version)


def test_who_asks_for_fp32_gets_that(
    repository: Path, version: Path, half: bytes, compiler: RuntimeCompiler
) -> None:
    _prepare(repository, compiler)
    (done,) = _prepare(repository, compiler, precision="fp32")
    assert (done.record.key["precision"], done.from_cache) == ("fp32", False)
    assert (version / "model.plan").read_bytes().endswith((version / "model.onnx").read_bytes())


def test_a_network_without_fp16_cannot_be_asked_for_it(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    with pytest.raises(ContractError, match=r"holds no network in FP16; expected FP32: set RECON_"):
        _prepare(repository, compiler, precision="fp16")
    assert compiler.builds == 0


# --- what does not pass ---------------------------------------------------------------------


def test_a_plan_that_answers_otherwise_is_not_put_anywhere(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    compiler.error = 100.0
    with pytest.raises(PlanError, match="the plan of unet answers the reference frames up to"):
        _prepare(repository, compiler)
    assert "model.plan" not in _names(version)
    compiler.error = 0.0
    (done,) = _prepare(repository, compiler)
    assert not done.from_cache


def test_a_kept_plan_is_asked_again(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    """The driver may have changed: what does not pass today is built anew, or nothing is left."""
    _prepare(repository, compiler)
    compiler.error = 100.0
    lines: list[str] = []
    with pytest.raises(PlanError, match="answers the reference frames up to"):
        _prepare(repository, compiler, lines=lines)
    assert (
        "the plan of unet that was kept can no longer be used: the plan of unet answers" in lines[0]
    )
    assert compiler.builds == 2
    assert {"model.plan", "plan.json"}.isdisjoint(_names(version))
    compiler.error = 0.0
    (done,) = _prepare(repository, compiler)
    assert (done.from_cache, compiler.builds) == (False, 3)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_gpu_without_room_keeps_what_is_kept(
    precision: str,
    repository: Path,
    version: Path,
    half: bytes,
    compiler: RuntimeCompiler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process has its memory now. The plan is as good as it was, and FP32 needs more."""
    chosen = None if precision == "fp16" else precision
    _prepare(repository, compiler, precision=chosen)

    def load(_: bytes) -> object:
        raise GpuMemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(compiler, "load", load)
        with pytest.raises(GpuMemoryError, match="no room"):
            _prepare(repository, compiler, precision=chosen)
    assert "model.plan" not in _names(version)
    (done,) = _prepare(repository, compiler, precision=chosen)
    assert (done.from_cache, compiler.builds) == (True, 1)
    assert done.record.key["precision"] == precision


def test_what_is_built_anew_takes_the_place_of_what_was_kept(
    repository: Path, version: Path, compiler: RuntimeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in place is the kept plan: it may not stay under the record of the new one."""
    _prepare(repository, compiler)
    kept = (version / "model.plan").read_bytes()
    load = compiler.load

    def load_unless_kept(plan: bytes) -> object:
        if plan == kept:
            raise PlanError("of yesterday's driver")
        return load(plan.removesuffix(b" anew"))

    def compile_anew(*_: object) -> Compiled:
        assert not (version / "model.plan").exists()
        return Compiled(kept + b" anew", b"")

    monkeypatch.setattr(compiler, "load", load_unless_kept)
    monkeypatch.setattr(compiler, "compile", compile_anew)
    (done,) = _prepare(repository, compiler)
    placed = (version / "model.plan").read_bytes()
    assert (done.from_cache, placed) == (False, kept + b" anew")
    assert json.loads((version / "plan.json").read_text())["plan_sha256"] == sha256(placed)


def test_all_have_a_plan_or_none(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    write_repository(repository.parent / "other", MAP, model="unet_map")
    (repository.parent / "other" / "unet_map").rename(repository / "unet_map")
    _prepare(repository, compiler)
    (repository / "unet_map" / "1" / "reference.npz").unlink()
    with pytest.raises(ContractError, match="by which a plan is judged"):
        _prepare(repository, compiler)
    for folder in (version, repository / "unet_map" / "1"):
        assert {"model.plan", "plan.json"}.isdisjoint(_names(folder))


def test_a_network_that_is_missing_leaves_the_others_none(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    _prepare(repository, compiler)
    (repository / "unet_map").mkdir()
    (repository / "unet_map" / "config.pbtxt").touch()
    with pytest.raises(SettingError, match=r"no network in .*unet_map: expected 1/model.onnx"):
        _prepare(repository, compiler)
    assert {"model.plan", "plan.json"}.isdisjoint(_names(version))


def test_a_plan_that_was_there_and_does_not_fit_goes_first(
    repository: Path, version: Path, compiler: RuntimeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    (version / "model.plan").write_bytes(b"of another GPU")
    (version / "plan.json").write_text("{}")

    def fail(*_: object) -> None:
        assert not (version / "model.plan").exists()
        raise PlanError("no kernels")

    monkeypatch.setattr(compiler, "compile", fail)
    with pytest.raises(PlanError, match="no kernels"):
        _prepare(repository, compiler)
    assert {"model.plan", "plan.json"}.isdisjoint(_names(version))


def test_a_network_without_reference_gets_no_plan(
    repository: Path, version: Path, compiler: RuntimeCompiler
) -> None:
    (version / "reference.npz").unlink()
    (version / "model.plan").write_bytes(b"whatever")
    with pytest.raises(ContractError, match="by which a plan is judged"):
        _prepare(repository, compiler)
    assert compiler.builds == 0
    assert "model.plan" not in _names(version)


def test_a_repository_of_something_else(tmp_path: Path, compiler: RuntimeCompiler) -> None:
    (tmp_path / "models").mkdir()
    with pytest.raises(SettingError, match=r"has none of the networks unet, .*of this project"):
        _prepare(tmp_path / "models", compiler)


def test_a_repository_that_cannot_be_written_to(
    repository: Path, compiler: RuntimeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode of a folder does not stop root, so the system's answer is made up."""
    replaced = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "model.plan" and repository in Path(target).parents:
            raise OSError(30, "Read-only file system")
        replaced(source, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=r"model\.plan cannot be written \(Read-only file system"):
        _prepare(repository, compiler)
