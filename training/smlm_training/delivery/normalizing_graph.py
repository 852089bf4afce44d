"""Normalisation as the first nodes of a network's ONNX graph.

The nodes compute `smlm_pipeline.compute.normalize.normalize` to the same bits, from the bytes of
camera frames and from their levels. Their result is the inner tensor ``NORMALIZED``, at which an
engine that normalises by itself cuts the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import NORMALIZED_MAX
from smlm_pipeline.errors import ContractError
from smlm_training.delivery.graph_end import NodeLine, prefixed_nodes, remove_prefixed

PREFIX = "normalize/"
"""Beginning of the names of nodes, tensors and constants that normalise."""

_FRAMES, _LEVELS = contract.FRAMES.name, contract.LEVELS.name
_NORMALIZED = contract.NORMALIZED.name

_NODES: tuple[NodeLine, ...] = (
    # TensorRT takes a uint8 input only where nothing but a cast reads it.
    ("Cast", (_FRAMES,), ("bytes",), {"to": onnx.TensorProto.FLOAT}),
    ("Split", ("bytes",), ("low", "high"), {"axis": 3}),
    ("Mul", ("high", "256"), ("high_adu",), {}),
    ("Add", ("low", "high_adu"), ("pixels_adu",), {}),
    ("Transpose", ("pixels_adu",), ("frames_adu",), {"perm": (0, 3, 1, 2)}),
    ("Unsqueeze", (_LEVELS, "axes"), ("levels_adu",), {}),
    ("Split", ("levels_adu",), ("background_adu", "scale_adu"), {"axis": 1}),
    ("Sub", ("frames_adu", "background_adu"), ("signal_adu",), {}),
    ("Div", ("signal_adu", "scale_adu"), ("unlimited",), {}),
    ("Min", ("unlimited", "largest"), (_NORMALIZED,), {}),
)
"""Every value is float32."""

_CONSTANTS: dict[str, NDArray[Any]] = {
    "256": np.array(256, np.float32),
    "axes": np.array([2, 3], np.int64),
    "largest": np.array(NORMALIZED_MAX, np.float32),
}


def with_normalization(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network with the contract's inputs, ``FRAMES`` and ``LEVELS``.

    Parameters
    ----------
    network : ModelProto
        Its one input is ``NORMALIZED``, (N, 1, H, W) float32. It is left as it is.

    Raises
    ------
    ContractError
        If its input is another.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(network)
    graph = whole.graph
    if [tensor.name for tensor in graph.input] != [_NORMALIZED]:
        raise ContractError(
            f"the network reads {', '.join(tensor.name for tensor in graph.input)}; expected "
            f"{_NORMALIZED} alone, the frames that are normalised"
        )
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend(prefixed_nodes(_NODES, PREFIX, {_FRAMES, _LEVELS, _NORMALIZED}))
    graph.node.extend(inner)
    graph.initializer.extend(
        numpy_helper.from_array(value, PREFIX + name) for name, value in _CONSTANTS.items()
    )
    graph.value_info.append(graph.input[0])
    del graph.input[:]
    graph.input.append(
        helper.make_tensor_value_info(_FRAMES, onnx.TensorProto.UINT8, ["N", "H", "W", 2])
    )
    graph.input.append(helper.make_tensor_value_info(_LEVELS, onnx.TensorProto.FLOAT, ["N", 2]))
    return whole


def without_normalization(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network from ``NORMALIZED`` on: what `with_normalization` was given.

    Raises
    ------
    ContractError
        If ``NORMALIZED`` is no inner tensor of the network.
    """
    inner = onnx.ModelProto()
    inner.CopyFrom(network)
    graph = inner.graph
    frames = [tensor for tensor in graph.value_info if tensor.name == _NORMALIZED]
    if not frames or not any(_NORMALIZED in node.output for node in graph.node):
        raise ContractError(
            f"the network has no inner tensor {_NORMALIZED}; expected one of 'recon-train export' "
            "of this release: export the run again"
        )
    remove_prefixed(graph, PREFIX)
    graph.value_info.remove(frames[0])
    del graph.input[:]
    graph.input.append(frames[0])
    return inner
