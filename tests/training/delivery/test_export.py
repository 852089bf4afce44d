"""The exported networks: the contract's tensors, plain operators, Keras' numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ThunderStorm
from numpy.typing import NDArray
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install .[train]")

import keras
import onnx

from fakes.networks import CLASS_BORDERS_PX
from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError
from smlm_pipeline.film.survey import prepared
from smlm_training.cli import app
from smlm_training.delivery import activation_graph, card, normalizing_graph, request_graph
from smlm_training.delivery import export as exporting
from smlm_training.delivery.export import Export, answer_of, export
from smlm_training.networks import NETWORKS, kind_of
from smlm_training.scoring import robustness

pytestmark = pytest.mark.training

PARITY = 5e-5
"""Of a channel's largest value. Measured: at most 4e-6, with random weights."""

OPERATORS = {"Add", "Concat", "Conv", "DepthToSpace", "LeakyRelu", "MaxPool", "Mul", "Relu"}
OPERATORS |= {"Resize", "Sigmoid", "Slice", "Softplus", "Tanh"}

NORMALISED = ("deep-storm", "fid-storm")
"""Networks with batch normalisation."""


@dataclass(frozen=True)
class _Exported:
    name: str
    model: Any
    done: Export

    @property
    def graph(self) -> Any:
        return onnx.load(self.done.path).graph

    @property
    def nodes(self) -> list[Any]:
        """Nodes of the layers."""
        ours = (normalizing_graph.PREFIX, activation_graph.PREFIX, request_graph.PREFIX)
        return [node for node in self.graph.node if not node.name.startswith(ours)]


_Frames = tuple[NDArray[np.uint16], NDArray[np.float32]]


def _frames(count: int, height_px: int, width_px: int) -> _Frames:
    """Frames in ADU and their levels: normalised, a mean of 0 and a standard deviation of 1."""
    frames_adu = np.random.default_rng(1).normal(1000, 100, (count, height_px, width_px))
    return frames_adu.astype(np.uint16), np.tile(np.array([1000, 100], np.float32), (count, 1))


def _untrained(name: str) -> Any:
    """Biases, means and variances start at nothing or one, and would vanish from the graph."""
    keras.utils.set_random_seed(1)
    model = NETWORKS[name]()
    rng = np.random.default_rng(2)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(weight + rng.uniform(0.0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Exported:
    model = _untrained(request.param)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    return _Exported(request.param, model, export(model, path, *_frames(2, 8, 12)))


@pytest.fixture(scope="module")
def small() -> Any:
    """One convolution, with the channels of a network that answers with detections."""
    keras.utils.set_random_seed(1)
    frames = keras.layers.Input((None, None, 1))
    return keras.Model(frames, keras.layers.Conv2D(7, 3, padding="same")(frames), name="small")


def _axes(tensor: Any) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in tensor.type.tensor_type.shape.dim]


def test_report_of_the_export(exported: _Exported) -> None:
    done = exported.done
    assert done.answer == (
        contract.MAP_ANSWER if _is_map(exported.name) else contract.DETECTION_ANSWER
    )
    assert done.parameters == exported.model.count_params()
    assert done.size_bytes == done.path.stat().st_size
    assert (done.size_bytes < 5_000_000) == (exported.name != "deep-storm")
    assert 0 <= done.parity_relative < PARITY
    assert 0 <= done.parity_max_difference < PARITY * 10
    assert [path.name for path in done.path.parent.iterdir()] == ["model.onnx"]


def _is_map(name: str) -> bool:
    return kind_of(name).answer.makes_maps


def test_tensors_are_those_of_the_contract(exported: _Exported) -> None:
    (frames, levels, request), (tensor_out, computed) = exported.graph.input, exported.graph.output
    assert [tensor.name for tensor in (frames, levels)] == ["FRAMES", "LEVELS"]
    assert [tensor.name for tensor in (request, computed)] == ["REQUEST", "COMPUTED_REQUEST"]
    assert _axes(request) == _axes(computed) == [2]
    assert tensor_out.name == exported.done.answer.name
    assert (_axes(frames), _axes(levels)) == (["N", "H", "W", 2], ["N", 2])
    map_axes: list[str | int] = ["N", 1, "8*H", "8*W"]
    assert _axes(tensor_out) == (map_axes if _is_map(exported.name) else ["N", 7, "H", "W"])
    tensors = (frames, levels, tensor_out, request, computed)
    kinds = [each.type.tensor_type.elem_type for each in tensors]
    whole = 2 * [onnx.TensorProto.INT32]
    assert kinds == [onnx.TensorProto.UINT8, *2 * [onnx.TensorProto.FLOAT], *whole]


def test_opset(exported: _Exported) -> None:
    model = onnx.load(exported.done.path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 17


def test_operators_are_plain(exported: _Exported) -> None:
    """Nothing that computes a shape or branches, which TensorRT takes badly."""
    nodes = exported.nodes
    assert {node.op_type for node in nodes} <= OPERATORS
    constants = _constants(exported.graph)
    scales = [constants[node.input[2]] for node in nodes if node.op_type == "Resize"]
    assert [scale.tolist() for scale in scales] == [[1, 1, 2, 2]] * len(scales)


def _constants(graph: Any) -> dict[str, NDArray[Any]]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}


def test_batch_normalisation_is_part_of_the_convolutions(exported: _Exported) -> None:
    """As many convolutions as Keras has; each that is normalised got a bias, and nothing else."""
    kinds = [type(layer).__name__ for layer in exported.model.layers]
    normalised = kinds.count("BatchNormalization")
    assert bool(normalised) == (exported.name in NORMALISED)
    convolutions = [node for node in exported.nodes if node.op_type == "Conv"]
    assert len(convolutions) == kinds.count("Conv2D")
    if normalised:
        assert sum(len(node.input) == 3 for node in convolutions) == normalised
        added = [node for node in exported.nodes if node.op_type in {"Add", "Mul"}]
        assert len(added) <= 2  # the residual of fid-storm, and a map's unit


def test_names_say_what_a_node_does(exported: _Exported) -> None:
    graph = exported.graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    for node in exported.nodes:
        assert node.name.rsplit("_", 1)[0] == node.op_type.lower()
    used = {name for node in graph.node for name in node.input}
    assert {constant.name for constant in graph.initializer} <= used


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 20, 12)])
def test_onnx_answers_as_keras(exported: _Exported, shape: tuple[int, int, int]) -> None:
    assert _difference(exported, *_frames(*shape)) < PARITY


def _difference(
    exported: _Exported, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> float:
    """Largest difference of ONNX Runtime and Keras, as a share of its channel's largest value."""
    found = OnnxNetwork(exported.done.path, intra_op_threads=1).detect(frames_adu, levels_adu)
    expected = _in_keras(exported.model, frames_adu, levels_adu)
    assert expected.std() > 0
    scale = np.abs(expected).max(axis=(0, 2, 3))[:, None, None]
    return float((np.abs(found - expected) / scale).max())


def _in_keras(
    model: Any, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    normalized = normalize(frames_adu, levels_adu)
    return np.asarray(model(normalized.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)


def test_onnx_answers_a_frame_alike_in_any_company(exported: _Exported) -> None:
    frames, levels = _frames(3, 12, 16)
    network = OnnxNetwork(exported.done.path, intra_op_threads=1)
    together = network.detect(frames, levels)
    alone = np.concatenate([network.detect(frames[[each]], levels[[each]]) for each in range(3)])
    np.testing.assert_array_equal(together, alone)


def test_parity_on_a_film_of_others(exported: _Exported, thunderstorm: ThunderStorm) -> None:
    frames, levels = prepared(thunderstorm.frames_adu[:100, :16, :20])
    assert _difference(exported, frames[::50], levels[::50]) < PARITY


def test_the_same_weights_give_the_same_file(small: Any, tmp_path: Path) -> None:
    """However many networks Keras built before: nothing is named after its counters."""
    twin = keras.models.clone_model(small)
    twin.set_weights(small.get_weights())
    files = [
        export(model, tmp_path / f"{index}.onnx", *_frames(1, 8, 8)).path.read_bytes()
        for index, model in enumerate((small, twin))
    ]
    assert files[0] == files[1]


def test_a_network_that_differs_is_refused(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the last good one")
    monkeypatch.setattr(exporting, "PARITY_TOLERANCE", -1.0)
    with pytest.raises(ContractError, match=r"differs from Keras by .*expected at most -1e\+00"):
        export(small, path, *_frames(1, 16, 16))
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"the last good one"


def test_a_network_that_answers_nonsense_is_refused(small: Any, tmp_path: Path) -> None:
    broken = keras.models.clone_model(small)
    broken.set_weights([np.full_like(weight, np.nan) for weight in small.get_weights()])
    with pytest.raises(ContractError, match="differs from Keras by nan"):
        export(broken, tmp_path / "model.onnx", *_frames(1, 16, 16))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("reads", "answers"), [(2, 7), (1, 5)])
def test_channels_of_no_contract_are_refused(reads: int, answers: int) -> None:
    frames = keras.layers.Input((None, None, reads))
    model = keras.Model(frames, keras.layers.Conv2D(answers, 1)(frames), name="odd")
    with pytest.raises(ContractError, match=f"'odd' reads {reads} channels and .* with {answers}"):
        answer_of(model)


@pytest.fixture
def finished_run(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its card says nothing that takes minutes to measure."""
    monkeypatch.setattr(card, "held_out_scores", lambda _, films: {each: {} for each in films})
    monkeypatch.setattr(card, "class_borders_px", lambda *_: CLASS_BORDERS_PX)
    monkeypatch.setattr(robustness, "changes", lambda _: [])
    folder = tmp_path / "run"
    folder.mkdir()
    small.save(folder / "network.keras")
    (folder / "manifest.json").write_text('{"recipe": {"seed": 1}}')
    return folder


def _export(run: Path, output: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["export", str(run), "-o", str(output), *more])


def test_a_slow_network_is_scored_on_the_films_that_are_named(finished_run: Path) -> None:
    result = _export(finished_run, finished_run.parent / "model.onnx", "--film", "evaluate")
    assert result.exit_code == 0, result.output
    stated = json.loads((finished_run.parent / "model.json").read_text())
    assert stated["scores_on_films_training_never_saw"] == {"evaluate": {}}
    alone, slow = stated["warnings"]
    assert alone == "scored on evaluate alone; robustness was not looked at"
    assert slow.startswith("computes in float32 on CPUs, half as fast as in bfloat16: it was not")


def test_a_film_that_is_none_is_refused(small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "network.keras")
    (tmp_path / "manifest.json").write_text('{"recipe": {"seed": 1}}')
    result = _export(tmp_path, tmp_path / "model.onnx", "--film", "neurons")
    assert result.exit_code == 2
    assert "film is 'neurons'; expected one of" in result.stderr
    assert not (tmp_path / "model.onnx").exists()


def test_export_command_writes_network_and_card(finished_run: Path, small: Any) -> None:
    output = finished_run.parent / "unet" / "1" / "model.onnx"
    result = _export(finished_run, output)
    assert result.exit_code == 0, result.output
    assert f"{output}: DETECTIONS, 70 parameters, 0.0 MB, at most" in result.stdout
    assert result.stderr == ""
    names = sorted(path.name for path in output.parent.iterdir())
    assert names == ["model.json", "model.onnx", "reference.npz"]
    stated = json.loads((output.parent / "model.json").read_text())
    assert stated["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert stated["parameters"] == 70
    assert stated["training"] == {"recipe": {"seed": 1}}
    assert 0 <= stated["onnx_against_keras_max_difference"] < PARITY
    assert stated["class_borders_px"] == CLASS_BORDERS_PX
    frames = _frames(1, 16, 16)
    found = OnnxNetwork(output, intra_op_threads=1).detect(*frames)
    np.testing.assert_allclose(found, _in_keras(small, *frames), rtol=0, atol=PARITY)


def test_a_large_file_is_reported(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "SIZE_LIMIT_BYTES", 100)
    result = _export(finished_run, finished_run / "model.onnx")
    assert result.exit_code == 0, result.output
    assert "note: model.onnx has 0.0 MB, more than the 0 MB" in result.stderr


def test_a_card_that_fails_leaves_the_last_export(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(network: OnnxNetwork, films: tuple[str, ...]) -> None:
        raise ContractError("no scores")

    monkeypatch.setattr(card, "held_out_scores", fail)
    folder = finished_run.parent / "out"
    folder.mkdir()
    for name in ("model.onnx", "model.json"):
        (folder / name).write_text("the last good one")
    assert _export(finished_run, folder / "model.onnx").exit_code == 5
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("model.onnx", "model.json"), "the last good one"
    )


def test_publish_command_exports_a_run_first(finished_run: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    for file in ("reconstruction/config.pbtxt", "unet/config.pbtxt", "unet/4/model.py"):
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        (repository / file).touch()
    arguments = ["publish", str(finished_run), "--model-repository", str(repository)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"unet version 5: {repository / 'unet' / '5'}" in result.stdout
    configuration = (repository / "unet" / "config.pbtxt").read_text()
    assert (
        '"class_borders_px" value { string_value: "0.12; 0.1 0.15; 0.09 0.12 0.18"' in configuration
    )
    names = sorted(path.name for path in (repository / "unet" / "5").iterdir())
    assert names == [
        *("model.fp16.onnx", "model.json", "model.onnx", "model.py", "reference.npz"),
    ]
    assert sorted(path.name for path in finished_run.iterdir()) == [
        "manifest.json",
        "network.keras",
    ]


def test_export_command_wants_a_finished_run(tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    result = _export(tmp_path, output)
    assert result.exit_code == 2
    assert "expected the folder of a finished 'recon-train fit'" in result.stderr
    assert not output.exists()
