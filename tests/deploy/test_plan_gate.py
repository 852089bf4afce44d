"""The gate lets through what answers as the network does, in every profile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import write_network
from fakes.plans import RuntimeExecutor
from smlm_pipeline import contract
from smlm_pipeline.compute.reference import Reference, read_reference
from smlm_pipeline.deploy.plans import gate
from smlm_pipeline.deploy.plans.profiles import profiles
from smlm_pipeline.errors import PlanError
from smlm_training.delivery.reference import make_reference

PROFILES = profiles("unet", largest_tile_px=contract.TILE_SIZES_PX[-1])


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path)


@pytest.fixture
def reference(network: Path) -> Reference:
    make_reference(network)
    return read_reference(network, contract.UNET)


def test_the_network_itself_passes(network: Path, reference: Reference, tmp_path: Path) -> None:
    executor = RuntimeExecutor(network.read_bytes(), tmp_path, error=0)
    difference = gate.largest_difference(executor, reference, PROFILES)
    assert difference < 1e-6
    gate.check(difference, gate.tolerance("fp32", tf32=False), model="unet")


def test_every_profile_answers_its_usual_request(
    network: Path, reference: Reference, tmp_path: Path
) -> None:
    executor = RuntimeExecutor(network.read_bytes(), tmp_path, error=0)
    gate.largest_difference(executor, reference, PROFILES)
    size = reference.frames_adu.shape[1:]
    assert executor.asked == [
        (index, (profile.usual[0], *size)) for index, profile in enumerate(PROFILES)
    ]


def test_a_profile_of_one_frame_answers_one(
    network: Path, reference: Reference, tmp_path: Path
) -> None:
    executor = RuntimeExecutor(network.read_bytes(), tmp_path, error=0)
    small = profiles("unet", largest_tile_px=64)
    assert gate.largest_difference(executor, reference, small) < 1e-6
    assert [shape[0] for _, shape in executor.asked] == [1024, 1, 1, 1]


@pytest.mark.parametrize("error", [-0.5, 0.5])
def test_one_wrong_profile_is_found(
    error: float, network: Path, reference: Reference, tmp_path: Path
) -> None:
    """As a share of the largest value of the same channel, whatever the sign."""
    executor = RuntimeExecutor(network.read_bytes(), tmp_path, error=error)
    smallest = float(np.abs(reference.answers).max(axis=(0, 2, 3)).min())
    difference = gate.largest_difference(executor, reference, PROFILES)
    assert difference == pytest.approx(0.5 / smallest, rel=1e-3)
    with pytest.raises(PlanError, match=r"plan of unet answers .* away .* expected at most 1e-03"):
        gate.check(difference, gate.tolerance("fp32", tf32=False), model="unet")


def test_what_is_no_number_does_not_pass(
    network: Path, reference: Reference, tmp_path: Path
) -> None:
    executor = RuntimeExecutor(network.read_bytes(), tmp_path, error=float("nan"))
    difference = gate.largest_difference(executor, reference, PROFILES)
    with pytest.raises(PlanError, match="up to nan of a channel's largest value"):
        gate.check(difference, 1.0, model="unet")


def test_another_shape_does_not_pass(reference: Reference, tmp_path: Path) -> None:
    from fakes.networks import MAP

    network = write_network(tmp_path / "map", MAP)
    executor = RuntimeExecutor(network.read_bytes(), tmp_path, error=0)
    difference = gate.largest_difference(executor, reference, PROFILES)
    with pytest.raises(PlanError, match="up to inf of a channel's largest value"):
        gate.check(difference, 1.0, model="unet")


def test_coarser_arithmetic_is_allowed_more() -> None:
    """What the file computes in decides, and rounding of FP32 factors where it does."""
    fp32 = gate.tolerance("fp32", tf32=False)
    assert fp32 < gate.tolerance("fp32", tf32=True)
    assert fp32 < gate.tolerance("fp16", tf32=False) == gate.tolerance("fp16", tf32=True)
