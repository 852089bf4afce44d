"""The activation in the graph is the one that we compute, and can be taken off again."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from fakes.networks import parsed
from smlm_pipeline import contract
from smlm_pipeline.compute.activation import activate
from smlm_pipeline.errors import ContractError
from smlm_training.delivery.activation_graph import activated, without_activation
from smlm_training.delivery.normalizing_graph import without_normalization
from smlm_training.delivery.request_graph import without_request

LAYERS = """
(float[N,1,H,W] NORMALIZED) => (float[N,7,H,W] LOGITS)
<float[7,1,1,1] weights = {1, -2, 3, -4, 5, -6, 7}>
{ LOGITS = Conv(NORMALIZED, weights) }
"""


def _network(graph: str = LAYERS) -> onnx.ModelProto:
    return without_request(parsed(graph))


def test_the_graph_activates_as_we_do() -> None:
    graph = activated(without_normalization(_network()))
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    frames = np.random.default_rng(1).normal(0, 8, (2, 1, 8, 12)).astype(np.float32)
    (found,) = session.run([contract.DETECTIONS.name], {contract.NORMALIZED.name: frames})
    logits = frames * np.array([1, -2, 3, -4, 5, -6, 7], np.float32).reshape(1, -1, 1, 1)
    expected = np.empty_like(logits)
    activate(logits, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_without_it_the_network_is_the_one_before() -> None:
    layers = _network()
    without = without_activation(activated(layers))
    assert without.SerializeToString() == layers.SerializeToString()


def test_a_network_of_another_end_is_refused() -> None:
    other = _network(LAYERS.replace("LOGITS", "ELSEWHERE"))
    with pytest.raises(ContractError, match="answers with ELSEWHERE; expected LOGITS alone"):
        activated(other)
    with pytest.raises(ContractError, match=r"no inner tensor LOGITS.*export the run again"):
        without_activation(other)
