"""Rewriting a graph: constant scales, nothing idle, and the numbers of before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

import onnx
import onnx.parser
import onnxruntime

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_training.delivery.onnx_graph import tidy

ENLARGED = """
(float[N,1,H,W] frames) => (float[N,1,A,B] fine)
<float[1,1,1,1] mix = {2}, int64[4] by = {1, 1, 8, 8}, int64[1] axis = {0}>
{
    shape = Shape(frames)
    sizes = Mul(shape, by)
    idle = Unsqueeze(frames, axis)
    same = Squeeze(idle, axis)
    large = Resize<mode = "nearest", nearest_mode = "floor",
        coordinate_transformation_mode = "asymmetric">(same, , , sizes)
    mixed = Conv(large, mix)
    fine = Identity(mixed)
}
"""

TURNED = """
(float[N,1,H,W] frames) => (float[N,7,H,W] found)
<float[7,1,1,1] mix = {1, 2, 3, 4, 5, 6, 7}, int64[4] to = {0, 7, -1, 0}>
{
    mixed = Conv(frames, mix)
    swapped = Transpose<perm = [0, 1, 3, 2]>(mixed)
    back = Transpose<perm = [0, 1, 3, 2]>(swapped)
    found = Reshape(back, to)
}
"""


def _model(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {graph}')


def _run(model: onnx.ModelProto, frames: NDArray[np.float32]) -> Any:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {session.get_inputs()[0].name: frames})
    return found


def test_sizes_become_a_scale_and_idle_nodes_go() -> None:
    model = _model(ENLARGED)
    frames = np.arange(3 * 5, dtype=np.float32).reshape(1, 1, 3, 5)
    tidy(model, contract.MAP, 8)
    onnx.checker.check_model(model, full_check=True)
    assert [node.name for node in model.graph.node] == ["resize_1", "conv_1"]
    assert list(model.graph.node[0].input) == ["NORMALIZED", "", "resize_1/input_2"]
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert set(constants) == {"resize_1/input_2", "conv_1/input_1"}
    assert constants["resize_1/input_2"].tolist() == [1, 1, 8, 8]
    np.testing.assert_array_equal(_run(model, frames), np.kron(2 * frames, np.ones((8, 8))))


def test_axes_are_named() -> None:
    model = _model(ENLARGED)
    tidy(model, contract.MAP, 8)
    named = [
        [axis.dim_param or axis.dim_value for axis in tensor.type.tensor_type.shape.dim]
        for tensor in (*model.graph.input, *model.graph.output)
    ]
    assert named == [["N", 1, "H", "W"], ["N", 1, "8*H", "8*W"]]
    assert [tensor.name for tensor in model.graph.output] == ["MAP"]


def test_what_moves_values_stays() -> None:
    """Two transpositions end in the first shape, but in between nothing is known to be idle."""
    model = _model(TURNED)
    frames = np.random.default_rng(1).normal(size=(2, 1, 4, 6)).astype(np.float32)
    before = _run(model, frames)
    tidy(model, contract.LOGITS, 1)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Transpose", "Transpose"]
    assert model.graph.node[-1].output[0] == model.graph.output[0].name == "LOGITS"
    np.testing.assert_array_equal(_run(model, frames), before)


@pytest.mark.parametrize("by", ["1, 1, 8, 16", "1, 2, 8, 8"])
def test_an_uneven_resize_is_refused(by: str) -> None:
    graph = ENLARGED.replace("1, 1, 8, 8", by)
    if by.startswith("1, 2"):
        graph = graph.replace("[1,1,1,1] mix = {2}", "[1,2,1,1] mix = {1, 2}")
    with pytest.raises(ContractError, match="expected a whole factor, the same along y and x"):
        tidy(_model(graph), contract.MAP, 8)


def test_a_map_of_another_zoom_is_refused() -> None:
    model = _model(ENLARGED.replace("1, 1, 8, 8", "1, 1, 4, 4"))
    with pytest.raises(ContractError, match=r"with \(3, 1, 80, 112\); expected \(3, 1, 160, 224\)"):
        tidy(model, contract.MAP, 8)
