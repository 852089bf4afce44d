"""The exported network: the contract's tensors, plain operators, Keras' numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install .[train]")

import keras
import onnx

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_pipeline.network import Network
from smlm_training import card, presets
from smlm_training import export as exporting
from smlm_training.cli import app
from smlm_training.export import Export, export
from smlm_training.networks.unet import unet

pytestmark = pytest.mark.training

PARITY = 5e-5
"""Measured: at most 1e-5, with random weights and sigmas of up to 5 pixels."""

OPERATORS = {"Add", "Concat", "Conv", "MaxPool", "Mul", "Relu", "Resize", "Sigmoid", "Softplus"}
OPERATORS |= {"Tanh", "Reshape"}


@dataclass(frozen=True)
class _Exported:
    model: Any
    done: Export


def _frames(count: int, height_px: int, width_px: int, channels: int = 1) -> NDArray[np.float32]:
    shape = (count, channels, height_px, width_px)
    return np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> _Exported:
    keras.utils.set_random_seed(1)
    model = unet()
    rng = np.random.default_rng(2)
    for weight in model.weights:
        if len(weight.shape) == 1:  # biases start at zero, and would vanish from the graph
            weight.assign_add(rng.normal(0, 0.1, weight.shape))
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    return _Exported(model, export(model, path, _frames(2, 32, 32)))


@pytest.fixture(scope="module")
def graph(exported: _Exported) -> Any:
    return onnx.load(exported.done.path)


def _axes(tensor: Any) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in tensor.type.tensor_type.shape.dim]


def test_report_of_the_export(exported: _Exported) -> None:
    done = exported.done
    assert done.parameters == 427_333
    assert done.size_bytes == done.path.stat().st_size < 5_000_000
    assert 0 <= done.parity_max_difference < PARITY
    assert [path.name for path in done.path.parent.iterdir()] == ["model.onnx"]


def test_tensors_are_those_of_the_contract(graph: Any) -> None:
    (tensor_in,), (tensor_out,) = graph.graph.input, graph.graph.output
    assert (tensor_in.name, tensor_out.name) == ("NORMALIZED", "DETECTIONS")
    assert tensor_in.name == contract.UNET.inputs[0].name
    assert tensor_out.name == contract.UNET.outputs[0].name
    assert _axes(tensor_in) == ["N", 1, "H", "W"]
    assert _axes(tensor_out) == ["N", 5, "H", "W"]
    for tensor in (tensor_in, tensor_out):
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_opset(graph: Any) -> None:
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] == 17


def test_operators_are_plain(graph: Any) -> None:
    """Nothing that computes a shape or branches, which TensorRT takes badly."""
    used = {node.op_type for node in graph.graph.node}
    assert used <= OPERATORS
    resizes = [node for node in graph.graph.node if node.op_type == "Resize"]
    assert [list(node.input[1:]) for node in resizes] == [["", "double"]] * 2


def test_reshapes_do_nothing(graph: Any) -> None:
    """The converter leaves two, of a frame and of the probability: N,1,H,W as they are."""
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.graph.initializer}
    shapes = [node.input[1] for node in graph.graph.node if node.op_type == "Reshape"]
    assert [constants[shape].tolist() for shape in shapes] == [[-1, 1, 0, 0]] * len(shapes)


def test_no_weight_is_left_over(graph: Any) -> None:
    needed = {name for node in graph.graph.node for name in node.input}
    assert {constant.name for constant in graph.graph.initializer} <= needed
    onnx.checker.check_model(graph, full_check=True)


@pytest.mark.parametrize(
    "shape", [(1, 16, 16), (3, 20, 36), (2, 64, 48), (17, 32, 32), (1, 128, 4)]
)
def test_onnx_answers_as_keras(exported: _Exported, shape: tuple[int, int, int]) -> None:
    frames = _frames(*shape)
    found = Network(exported.done.path, intra_op_threads=1).detect(frames)
    expected = np.asarray(exported.model(frames.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    assert np.ptp(expected[:, 1:3]) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)


def test_onnx_answers_a_frame_alike_in_any_company(exported: _Exported) -> None:
    frames = _frames(6, 24, 32)
    network = Network(exported.done.path, intra_op_threads=1)
    together = network.detect(frames)
    alone = np.concatenate([network.detect(frames[index : index + 1]) for index in range(6)])
    np.testing.assert_array_equal(together, alone)


def test_a_network_that_differs_is_refused(
    exported: _Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the last good one")
    monkeypatch.setattr(exporting, "PARITY_TOLERANCE", -1.0)
    with pytest.raises(ContractError, match=r"differs from Keras by .*expected at most -1e\+00"):
        export(exported.model, path, _frames(1, 16, 16))
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"the last good one"


def test_a_network_that_answers_nonsense_is_refused(exported: _Exported, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="differs from Keras by nan"):
        export(exported.model, tmp_path / "model.onnx", np.full((1, 1, 16, 16), np.nan, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_cannot_run_leaves_nothing(exported: _Exported, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="invalid dimensions"):
        export(exported.model, tmp_path / "model.onnx", _frames(1, 16, 16, channels=2))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def finished_run(exported: _Exported, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    exported.model.save(folder / "network.keras")
    (folder / "manifest.json").write_text('{"recipe": {"seed": 1}}')
    return folder


def test_export_command_writes_network_and_card(
    finished_run: Path, exported: _Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "SCORED_FRAMES", 8)
    monkeypatch.setattr(card, "SCORED_SIZE_PX", 16)
    output = finished_run.parent / "unet" / "1" / "model.onnx"
    result = CliRunner().invoke(app, ["export", str(finished_run), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "427,333 parameters" in result.output
    assert sorted(path.name for path in output.parent.iterdir()) == ["model.json", "model.onnx"]
    stated = json.loads((output.parent / "model.json").read_text())
    assert stated["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert stated["parameters"] == 427_333
    assert stated["training"] == {"recipe": {"seed": 1}}
    assert 0 <= stated["onnx_against_keras_max_difference"] < PARITY
    scores = stated["scores_on_films_training_never_saw"]
    assert set(scores) == set(presets.PRESETS)
    for score in scores.values():
        assert len(score["nmse_percent_at_blur_0_1_2_px"]) == 3
        assert score["emitters_found_over_true"] > 0
    frames = _frames(1, 16, 16)
    np.testing.assert_array_equal(
        Network(output, intra_op_threads=1).detect(frames),
        Network(exported.done.path, intra_op_threads=1).detect(frames),
    )


def test_export_command_wants_a_finished_run(tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    result = CliRunner().invoke(app, ["export", str(tmp_path), "-o", str(output)])
    assert result.exit_code == 2
    assert "expected the folder of a finished 'recon-train fit'" in result.stderr
    assert not output.exists()
