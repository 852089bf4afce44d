"""The real TensorRT on a real GPU: a plan is built, loaded, and answers as its network does.

Nobody has run this yet: the project was made on machines without a GPU.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.deploy.plans.devices import open_tensorrt
from smlm_pipeline.deploy.plans.key import Choices
from smlm_pipeline.deploy.plans.prepare import Prepared, prepare
from smlm_pipeline.deploy.plans.tensorrt import TensorRT
from smlm_pipeline.errors import PlanError
from smlm_pipeline.model_repository import network_file

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]

LARGEST_PX = 128
"""Keeps the build short and fits a small GPU."""


@pytest.fixture(scope="module")
def compiler() -> TensorRT:
    try:
        return open_tensorrt()
    except PlanError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def repository(model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "models"
    shutil.copytree(model_repository, folder)
    return folder


def _prepare(repository: Path, compiler: TensorRT, precision: str | None = None) -> list[Prepared]:
    return prepare(
        repository,
        repository.parent / "cache",
        lambda: compiler,
        precision=precision,
        choices=Choices(),
        largest_tile_px=LARGEST_PX,
        note=lambda _: None,
    )


@pytest.fixture(scope="module")
def prepared(repository: Path, compiler: TensorRT) -> list[Prepared]:
    return _prepare(repository, compiler)


def test_every_network_gets_a_plan_that_passes(prepared: list[Prepared], repository: Path) -> None:
    assert [each.model for each in prepared] == list(contract.NETWORKS)
    for each in prepared:
        assert each.difference <= each.record.tolerance
        assert (repository / each.model / each.version / "model.plan").exists()


def test_the_second_time_they_come_from_the_cache(
    prepared: list[Prepared], repository: Path, compiler: TensorRT
) -> None:
    assert all(each.from_cache for each in _prepare(repository, compiler))


def test_every_network_passes_in_fp16(prepared: list[Prepared]) -> None:
    """By default, without being asked."""
    assert {each.model: each.record.key["precision"] for each in prepared} == dict.fromkeys(
        contract.NETWORKS, "fp16"
    )


@pytest.mark.parametrize("shape", [(1, 16, 16), (1024, 64, 64), (7, 48, 128)])
def test_frames_of_any_size_are_answered_alike(
    shape: tuple[int, int, int], repository: Path, compiler: TensorRT
) -> None:
    _prepare(repository, compiler, precision="fp32")
    file = network_file(repository, contract.UNET.name)
    executor = compiler.load(file.with_name("model.plan").read_bytes())
    rng = np.random.default_rng(0)
    frames_adu = rng.integers(90, 1000, shape, np.uint16)
    levels_adu = rng.uniform(50, 150, (shape[0], 2)).astype(np.float32)
    expected = OnnxNetwork(file, intra_op_threads=0).detect(frames_adu, levels_adu)
    found = executor.run(frames_adu, levels_adu, profile=0 if shape[2] <= 64 else 1)
    scale = np.abs(expected).max(axis=(0, 2, 3), keepdims=True)
    assert (np.abs(found - expected) / scale).max() < 1e-3


def test_a_plan_of_something_else_is_refused(compiler: TensorRT) -> None:
    with pytest.raises(PlanError, match="TensorRT does not take the plan"):
        compiler.load(b"no plan at all")
