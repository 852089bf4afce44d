"""The number of a request passes through every network, whatever runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from fakes.network_inputs import frames_and_levels, tensors
from fakes.networks import DETECTIONS, parsed
from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import HALF_FILE, NETWORK_FILE, network_file
from smlm_training.delivery.request_graph import PREFIX, with_request, without_request

NUMBERS = ([0, 0], [1, -1], [2**31 - 1, -(2**31)], [123_456_789, -987_654_321])

INPUTS = tensors(*frames_and_levels(3, 20, 36))


@pytest.mark.parametrize("name", contract.NETWORKS)
@pytest.mark.parametrize("file", [NETWORK_FILE, HALF_FILE])
def test_a_network_that_ships_passes_numbers_on(
    model_repository: Path, name: str, file: str
) -> None:
    """And they change no bit of its answers."""
    path = network_file(model_repository, name).with_name(file)
    bare = onnxruntime.InferenceSession(
        without_request(onnx.load(path)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = bare.run(None, {each: INPUTS[each] for each in ("FRAMES", "LEVELS")})
    whole = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for number in NUMBERS:
        answers, computed = whole.run(None, {**INPUTS, "REQUEST": np.array(number, np.int32)})
        assert computed.tolist() == number
        assert answers.tobytes() == expected.tobytes()


def test_openvino_passes_numbers_on(model_repository: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    file = network_file(model_repository, contract.UNET_FAST.name)
    network = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for number in NUMBERS:
        found = network({**INPUTS, "REQUEST": np.array(number, np.int32)})
        assert found[contract.COMPUTED_REQUEST.name].tolist() == number


def test_one_node_passes_it_on_beside_the_layers() -> None:
    network = parsed(DETECTIONS)
    onnx.checker.check_model(network, full_check=True)
    (added,) = [node for node in network.graph.node if node.name.startswith(PREFIX)]
    assert (added.op_type, *added.input, *added.output) == (
        *("Identity", "REQUEST", "COMPUTED_REQUEST"),
    )


def test_without_the_number_the_network_is_what_it_was() -> None:
    network = without_request(parsed(DETECTIONS))
    assert [tensor.name for tensor in network.graph.input] == ["FRAMES", "LEVELS"]
    assert [tensor.name for tensor in network.graph.output] == ["DETECTIONS"]
    assert without_request(with_request(network)) == network


def test_what_passes_a_number_on_already_is_refused() -> None:
    with pytest.raises(ContractError, match="reads FRAMES, LEVELS, REQUEST; expected FRAMES and"):
        with_request(parsed(DETECTIONS))


def test_what_passes_none_on_has_nothing_to_cut() -> None:
    network = without_request(parsed(DETECTIONS))
    with pytest.raises(ContractError, match="does not pass REQUEST on as COMPUTED_REQUEST; expect"):
        without_request(network)
