"""Every ``config.pbtxt``, read with Triton's own protobuf, says what ``contract.py`` says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from fakes.places import MODEL_REPOSITORY
from fakes.served_model import read_configuration
from smlm_pipeline import contract, settings
from smlm_pipeline.compute.window import check_class_borders
from smlm_pipeline.contract import ModelSpec, TensorSpec
from smlm_pipeline.model_repository import network_file, trained_ranges

MODELS = {model.name: model for model in contract.MODELS}
NETWORKS = tuple(contract.NETWORKS)
FILES = sorted(MODEL_REPOSITORY.rglob("*.pbtxt"))
NETWORK_BYTES_MAX = 5_000_000
ELEMENT_TYPES = {
    "FP32": onnx.TensorProto.FLOAT,
    "INT32": onnx.TensorProto.INT32,
    "UINT8": onnx.TensorProto.UINT8,
}

each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(MODEL_REPOSITORY))
)


def _parsed(path: Path) -> Any:
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def _tensors(stated: Any) -> tuple[TensorSpec, ...]:
    """Inputs or outputs of a configuration in the contract's words."""
    kinds = model_config_pb2.DataType
    return tuple(
        TensorSpec(each.name, kinds.Name(each.data_type).removeprefix("TYPE_"), tuple(each.dims))
        for each in stated
    )


def _spec(path: Path) -> ModelSpec:
    found = _parsed(path)
    return ModelSpec(found.name, _tensors(found.input), _tensors(found.output))


def _cpu(network: str) -> Path:
    return MODEL_REPOSITORY / network / "configs" / "cpu.pbtxt"


def _steps(ensemble: str) -> list[Any]:
    stated = _parsed(MODEL_REPOSITORY / ensemble / "config.pbtxt")
    return list(stated.ensemble_scheduling.step)


# --- files ----------------------------------------------------------------------------------


def test_the_repository_holds_the_models_of_the_contract() -> None:
    folders = {path.name for path in MODEL_REPOSITORY.iterdir() if path.is_dir()}
    assert folders == set(MODELS)
    names = {str(path.relative_to(MODEL_REPOSITORY)) for path in FILES}
    twice = {f"{name}/configs/cpu.pbtxt" for name in NETWORKS}
    assert names == {f"{name}/config.pbtxt" for name in MODELS} | twice


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_version(name: str) -> None:
    """Triton does not load a model without one, and an ensemble's holds no file."""
    (version,) = (path for path in (MODEL_REPOSITORY / name).iterdir() if path.name.isdigit())
    files = {path.name for path in version.iterdir()}
    assert ("model.py" in files) is (name not in contract.ENSEMBLES)


@pytest.mark.parametrize("names", [NETWORKS, ["summation", "summation_map"]])
def test_one_text_serves_every_model_of_a_kind(names: Sequence[str]) -> None:
    texts = {(MODEL_REPOSITORY / name / "1" / "model.py").read_text() for name in names}
    (text,) = texts
    docstring, code = text.rstrip().split("\n\n")
    assert len((docstring + code).splitlines()) == 1


@each_file
def test_configuration_is_the_contract(path: Path) -> None:
    folder = path.relative_to(MODEL_REPOSITORY).parts[0]
    assert _spec(path) == MODELS[folder]


@each_file
def test_configuration_states_the_version_of_its_contract(path: Path) -> None:
    stated = _parsed(path).parameters[contract.CONTRACT_PARAMETER].string_value
    assert stated == str(contract.CONTRACT_VERSION)


@each_file
def test_configuration_is_plain_enough_for_old_servers(path: Path) -> None:
    """The embedded server is 2.51: what it does not know, it does not load."""
    assert "max_inflight_requests" not in path.read_text()
    assert _parsed(path).IsInitialized()


@each_file
def test_configuration_as_the_models_get_it(path: Path) -> None:
    """The dictionary that the tests of the models are given has what the file has."""
    found, spec = read_configuration(path), _spec(path)
    assert (found["name"], found["max_batch_size"]) == (spec.name, 0)
    for side, tensors in (("input", spec.inputs), ("output", spec.outputs)):
        assert [(each["name"], tuple(each["dims"])) for each in found[side]] == [
            (tensor.name, tensor.dims) for tensor in tensors
        ]


# --- networks, each twice -------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_looks_the_same_with_and_without_a_gpu(name: str) -> None:
    assert _spec(_cpu(name)) == _spec(MODEL_REPOSITORY / name / "config.pbtxt")


@pytest.mark.parametrize("name", NETWORKS)
def test_network_is_a_plan_on_a_gpu_and_python_without(name: str) -> None:
    kinds = model_config_pb2.ModelInstanceGroup.Kind
    gpu, cpu = _parsed(MODEL_REPOSITORY / name / "config.pbtxt"), _parsed(_cpu(name))
    assert (gpu.platform, gpu.backend) == ("tensorrt_plan", "")
    assert [kinds.Name(group.kind) for group in gpu.instance_group] == ["KIND_GPU"]
    assert (cpu.platform, cpu.backend) == ("", "python")
    assert [kinds.Name(group.kind) for group in cpu.instance_group] == ["KIND_CPU"]
    assert int(cpu.parameters["intra_op_threads"].string_value) >= 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_asks_for_requests_within_the_bounds(name: str) -> None:
    """On a GPU for the largest, on a CPU for those that a client sends by itself."""
    answer = contract.ensemble_of(name).answer
    usual = settings.MAP_REQUEST_PIXELS if answer.makes_maps else settings.REQUEST_PIXELS
    stated = [
        int(_parsed(path).parameters[contract.REQUEST_PIXELS_PARAMETER].string_value)
        for path in (MODEL_REPOSITORY / name / "config.pbtxt", _cpu(name))
    ]
    assert stated == [answer.pixels_most, usual]
    assert usual <= answer.pixels_most


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_states_the_class_borders_of_its_card(name: str) -> None:
    """Where it has classes; each list has one border less than classes, and they ascend."""
    card = json.loads(network_file(MODEL_REPOSITORY, name).with_name("model.json").read_text())
    drawn = not contract.ensemble_of(name).answer.makes_maps
    for path in (MODEL_REPOSITORY / name / "config.pbtxt", _cpu(name)):
        parameters = _parsed(path).parameters
        assert (contract.CLASS_BORDERS_PARAMETER in parameters) is drawn
        if drawn:
            text = parameters[contract.CLASS_BORDERS_PARAMETER].string_value
            borders_px = contract.class_borders_of(text)
            assert list(borders_px) == list(range(2, contract.MAX_CLASSES + 1))
            stated = {int(count): tuple(each) for count, each in card["class_borders_px"].items()}
            assert borders_px == stated
            for each in borders_px.values():
                padded = np.array([*each, 0, 0], np.float32)[: contract.MAX_CLASSES - 1]
                check_class_borders(padded, len(each) + 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_states_the_ranges_of_its_card(name: str) -> None:
    ranges = trained_ranges(network_file(MODEL_REPOSITORY, name))
    for path in (MODEL_REPOSITORY / name / "config.pbtxt", _cpu(name)):
        text = _parsed(path).parameters[contract.TRAINED_RANGES_PARAMETER].string_value
        assert text == contract.ranges_text(ranges) != ""


@pytest.mark.parametrize("name", [answer.summation.name for answer in contract.ANSWERS])
def test_summations_compute_where_their_input_lies(name: str) -> None:
    """On a GPU and without one from the same file: an instance a GPU, else one on the CPU."""
    kinds = model_config_pb2.ModelInstanceGroup.Kind
    found = _parsed(MODEL_REPOSITORY / name / "config.pbtxt")
    assert [kinds.Name(group.kind) for group in found.instance_group] == ["KIND_AUTO"]
    assert found.parameters["FORCE_CPU_ONLY_INPUT_TENSORS"].string_value == "no"


@each_file
def test_a_request_is_an_execution(path: Path) -> None:
    """No batch axis: the scheduler of a step joins nothing, it is there for its bounded queue."""
    found = _parsed(path)
    assert found.max_batch_size == 0
    assert found.HasField("dynamic_batching") is (found.name not in contract.ENSEMBLES)
    assert not found.dynamic_batching.preferred_batch_size
    assert found.dynamic_batching.max_queue_delay_microseconds == 0


@pytest.mark.parametrize("ensemble", contract.ENSEMBLES)
def test_every_queue_is_bounded(ensemble: str) -> None:
    """The first the most: a refusal later comes after work was done."""
    bounds = [
        _parsed(path).dynamic_batching.default_queue_policy.max_queue_size
        for step in _steps(ensemble)
        for path in (MODEL_REPOSITORY / step.model_name).rglob("*.pbtxt")
    ]
    assert min(bounds) > 0
    assert max(bounds) < 100


# --- the ensembles --------------------------------------------------------------------------

each_ensemble = pytest.mark.parametrize("name", contract.ENSEMBLES)


@each_ensemble
def test_steps_follow_the_data_path(name: str) -> None:
    steps = _steps(name)
    assert [step.model_name for step in steps] == [
        model.name for model in contract.ENSEMBLES[name].steps
    ]
    assert {step.model_version for step in steps} == {-1}


@each_ensemble
def test_every_tensor_of_every_step_is_wired(name: str) -> None:
    for step in _steps(name):
        model = MODELS[step.model_name]
        assert set(step.input_map) == {tensor.name for tensor in model.inputs}
        assert set(step.output_map) == {tensor.name for tensor in model.outputs}


@each_ensemble
def test_every_wire_carries_one_kind_of_tensor(name: str) -> None:
    ensemble = MODELS[name]
    sources = {tensor.name: tensor for tensor in ensemble.inputs}
    for step in _steps(name):
        model = MODELS[step.model_name]
        for tensor in model.inputs:
            source = sources[step.input_map[tensor.name]]
            assert (source.dtype, source.dims) == (tensor.dtype, tensor.dims)
        for tensor in model.outputs:
            wire = step.output_map[tensor.name]
            assert wire not in sources, "a wire has one source"
            sources[wire] = tensor
    for tensor in ensemble.outputs:
        source = sources[tensor.name]
        assert (source.dtype, source.dims) == (tensor.dtype, tensor.dims)


# --- the networks ---------------------------------------------------------------------------

each_network = pytest.mark.parametrize("name", NETWORKS)


def _network(name: str) -> onnx.ModelProto:
    return onnx.load(network_file(MODEL_REPOSITORY, name))


def _axes(tensor: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    """Sizes of fixed axes and names of open ones."""
    return tuple(axis.dim_param or axis.dim_value for axis in tensor.type.tensor_type.shape.dim)


@each_network
def test_network_has_the_tensors_of_the_contract(name: str) -> None:
    graph = _network(name).graph
    for found, expected in (
        (graph.input, MODELS[name].inputs),
        (graph.output, MODELS[name].outputs),
    ):
        assert [tensor.name for tensor in found] == [spec.name for spec in expected]
        for tensor, spec in zip(found, expected, strict=True):
            assert tensor.type.tensor_type.elem_type == ELEMENT_TYPES[spec.dtype]
            fixed = tuple(-1 if isinstance(axis, str) else axis for axis in _axes(tensor))
            assert fixed == spec.dims


@each_network
def test_network_leaves_frames_and_size_open(name: str) -> None:
    graph = _network(name).graph
    assert _axes(graph.input[0]) == ("N", "H", "W", 2)
    assert _axes(graph.input[1]) == ("N", 2)
    assert _axes(graph.output[0])[0] == "N"
    assert _axes(graph.input[2]) == _axes(graph.output[1]) == contract.REQUEST.dims


@each_network
def test_network_is_whole_and_small(name: str) -> None:
    network = _network(name)
    onnx.checker.check_model(network, full_check=True)
    assert network_file(MODEL_REPOSITORY, name).stat().st_size < NETWORK_BYTES_MAX
    external = [each.name for each in network.graph.initializer if each.external_data]
    assert external == []


@each_network
def test_card_is_about_this_network(name: str) -> None:
    file = network_file(MODEL_REPOSITORY, name)
    card = file.with_name("model.json")
    if not card.exists():
        pytest.skip("no model.json beside model.onnx: the network has not been published yet")
    told = json.loads(card.read_text())
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert told["contract_version"] == contract.CONTRACT_VERSION
    assert told["name"] == name
