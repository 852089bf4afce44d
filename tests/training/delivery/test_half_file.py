"""A network's variant in FP16 for GPUs: beside it where it answers nearly alike, else nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

import onnx

from fakes.networks import DETECTIONS, MAP, write_network
from smlm_pipeline import contract
from smlm_pipeline.compute import reference as references
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.reference import TOLERANCE, difference, read_reference
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import HALF_FILE, network_file
from smlm_training.cli import app
from smlm_training.delivery.half_file import write_half
from smlm_training.delivery.half_precision import halved
from smlm_training.delivery.publish import publish
from smlm_training.delivery.reference import make_reference, precision_of

TWO_LAYERS = """
(float[N,1,H,W] NORMALIZED) => (float[N,7,H,W] DETECTIONS)
<float[1,1,1,1] inner = {1.001}, float[7,1,1,1] last = {1, 2, 3, 4, 5, 6, 7}>
{ features = Conv(NORMALIZED, inner) DETECTIONS = Conv(features, last) }
"""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    file = write_network(tmp_path / "exported", TWO_LAYERS)
    make_reference(file)
    return file


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_the_networks_that_ship_have_theirs(name: str, model_repository: Path) -> None:
    """If this fails: recon-train reference model_repository/NAME/VERSION/model.onnx."""
    file = network_file(model_repository, name)
    half = OnnxNetwork(file.with_name(HALF_FILE), intra_op_threads=1)
    stored = read_reference(file, contract.NETWORKS[name])
    answers = half.detect(stored.frames_adu, stored.levels_adu)
    assert difference(answers, stored.answers) < TOLERANCE["fp16"] / 2
    weights = [
        {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
        for model in (onnx.load(file.with_name(HALF_FILE)), halved(onnx.load(file)))
    ]
    assert weights[0].keys() == weights[1].keys()
    for key, expected in weights[1].items():
        np.testing.assert_array_equal(weights[0][key], expected)


def test_it_is_written_and_its_difference_is_told(network: Path) -> None:
    half = write_half(network)
    assert half.path == network.with_name(HALF_FILE)
    assert precision_of(half.path.read_bytes()) == "fp16"
    assert half.difference is not None
    assert 1e-6 < half.difference < TOLERANCE["fp16"]
    assert sorted(path.name for path in network.parent.iterdir()) == [
        *(HALF_FILE, "model.json", "model.onnx", "reference.npz"),
    ]


def test_a_network_that_answers_otherwise_in_fp16_has_none(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an older one beside it goes."""
    write_half(network)
    monkeypatch.setitem(references.TOLERANCE, "fp16", 1e-7)
    half = write_half(network)
    assert half.path is None
    assert "expected at most 1e-07" in half.reason
    assert not network.with_name(HALF_FILE).exists()


def test_a_network_that_fp16_cannot_hold_has_none(tmp_path: Path) -> None:
    file = write_network(tmp_path, TWO_LAYERS.replace("1.001", "100000"))
    make_reference(file)
    half = write_half(file)
    assert (half.path, half.difference) == (None, None)
    assert "FP16 ends at 65504" in half.reason


def test_a_network_in_fp16_has_no_other(network: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(halved(onnx.load(network)), file)
    make_reference(file)
    assert write_half(file).reason == "the network itself computes in FP16"


def test_without_reference_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    file = write_network(tmp_path, MAP)
    with pytest.raises(ContractError, match="by which a plan is judged"):
        write_half(file)


def test_publish_writes_it(network: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "unet"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").touch()
    (folder / "configs").mkdir()
    (folder / "configs" / "cpu.pbtxt").touch()
    (folder / "1" / "model.py").touch()
    done = publish(network, tmp_path / "models")
    assert done.half.path is not None
    assert precision_of((done.folder / HALF_FILE).read_bytes()) == "fp16"


def test_the_command_renews_it(network: Path) -> None:
    half = network.with_name(HALF_FILE)
    result = CliRunner().invoke(app, ["reference", str(network)])
    assert result.exit_code == 0, result.output
    assert f"{half}: at most " in result.stdout
    write_network(network.parent, DETECTIONS.replace("7}", "100000}"))
    result = CliRunner().invoke(app, ["reference", str(network)])
    assert result.exit_code == 0, result.output
    assert f"note: no {HALF_FILE}: the network's weights holds 1e+05; FP16 ends" in result.stderr
    assert not half.exists()
