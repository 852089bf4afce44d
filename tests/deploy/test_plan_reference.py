"""A reference is about one network, and says so; a stale or broken one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import DETECTIONS, MAP, write_network
from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.reference import read_reference, write_reference
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import network_file
from smlm_training.delivery.reference import make_reference

SIZE_BYTES_MAX = 700_000


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path)


def test_what_is_made_can_be_read(network: Path) -> None:
    file = make_reference(network)
    found = read_reference(network, contract.UNET)
    assert file == network.with_name("reference.npz")
    assert found.precision == "fp32"
    assert (found.frames_adu.shape, found.levels_adu.shape) == ((4, 48, 40), (4, 2))
    expected = OnnxNetwork(network, intra_op_threads=1).detect(found.frames_adu, found.levels_adu)
    np.testing.assert_array_equal(found.answers, expected)


def test_some_frames_are_beyond_half_precision(network: Path) -> None:
    """A plan that normalises in FP16 would fail by them; a map network has the first alone."""
    make_reference(network)
    found = read_reference(network, contract.UNET)
    assert (found.levels_adu[:, 0] > 60_000).tolist() == [True, False, True, False]
    assert found.frames_adu.max() < 65_535
    assert normalize(found.frames_adu, found.levels_adu).max(axis=(1, 2, 3)).min() > 0.5


def test_a_map_has_fewer_frames(tmp_path: Path) -> None:
    network = write_network(tmp_path, MAP)
    assert make_reference(network).stat().st_size < SIZE_BYTES_MAX
    found = read_reference(network, contract.UNET_MAP)
    assert found.answers.shape == (1, 1, 384, 320)


def test_the_same_network_gives_the_same_file(network: Path) -> None:
    assert make_reference(network).read_bytes() == make_reference(network).read_bytes()


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_the_networks_that_ship_have_theirs(name: str, model_repository: Path) -> None:
    """If this fails: recon-train reference model_repository/NAME/VERSION/model.onnx."""
    file = network_file(model_repository, name)
    found = read_reference(file, contract.NETWORKS[name])
    assert file.with_name("reference.npz").stat().st_size < SIZE_BYTES_MAX
    again = OnnxNetwork(file, intra_op_threads=1).detect(found.frames_adu, found.levels_adu)
    largest = np.abs(found.answers).max(axis=(0, 2, 3), keepdims=True)
    assert (np.abs(again - found.answers) / largest).max() < 1e-4
    assert largest.min() > 0


def _rewrite(network: Path, **different: object) -> None:
    found = read_reference(network, contract.UNET)
    write_reference(network.with_name("reference.npz"), replace(found, **different))  # type: ignore[arg-type]


def _of_another_network(network: Path) -> None:
    write_network(network.parent, DETECTIONS.replace("7}", "8}"))


def _missing(network: Path) -> None:
    network.with_name("reference.npz").unlink()


def _torn(network: Path) -> None:
    file = network.with_name("reference.npz")
    file.write_bytes(file.read_bytes()[:1000])


def _of_another_kind(network: Path) -> None:
    np.savez(network.with_name("reference.npz"), frames=np.zeros(3))


def _in_eighths(network: Path) -> None:
    _rewrite(network, precision="fp8")


def _without_frames(network: Path) -> None:
    _rewrite(network, frames_adu=np.zeros((0, 16, 16), np.uint16))


def _with_normalised_frames(network: Path) -> None:
    _rewrite(network, frames_adu=np.zeros((4, 48, 40), np.float32))


def _without_a_level(network: Path) -> None:
    _rewrite(network, levels_adu=np.ones((3, 2), np.float32))


def _of_a_map(network: Path) -> None:
    _rewrite(network, answers=np.zeros((4, 1, 384, 320), np.float32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_of_another_network, r"is about the network \w{64}, and model\.onnx beside it is \w{64}"),
        (_missing, r"no .*reference\.npz, by which a plan is judged"),
        (_torn, "cannot be read"),
        (_of_another_kind, "cannot be read"),
        (_in_eighths, "in fp8, which unet does not take"),
        (_without_frames, r"holds frames \(0, 16, 16\) uint16"),
        (_with_normalised_frames, r"holds frames \(4, 48, 40\) float32"),
        (_without_a_level, r"levels \(3, 2\) float32"),
        (_of_a_map, r"answers \(4, 1, 384, 320\) float32"),
    ],
)
def test_what_does_not_fit_is_refused(
    spoil: Callable[[Path], None], message: str, network: Path
) -> None:
    make_reference(network)
    spoil(network)
    with pytest.raises(ContractError, match=f"{message}.*'recon-train reference "):
        read_reference(network, contract.UNET)


def test_answers_of_another_type_are_refused(network: Path) -> None:
    make_reference(network)
    found = read_reference(network, contract.UNET)
    halves = replace(found, answers=found.answers.astype(np.float16))
    write_reference(network.with_name("reference.npz"), halves)
    with pytest.raises(ContractError, match=r"float16 in fp32, which unet does not take"):
        read_reference(network, contract.UNET)
