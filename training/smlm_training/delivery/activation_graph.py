"""The activation as the last nodes of a detection network's ONNX graph.

The nodes compute `smlm_pipeline.compute.activation.activate` for every pixel. They read the inner
tensor ``LOGITS``, at which an engine that activates by itself cuts the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from smlm_pipeline import contract
from smlm_pipeline.compute.activation import FACTORS, LEAST
from smlm_pipeline.errors import ContractError
from smlm_training.delivery.graph_end import NodeLine, prefixed_nodes, remove_prefixed

PREFIX = "activate/"
"""Beginning of the names of nodes, tensors and constants that activate."""

_LOGITS, _DETECTIONS = contract.LOGITS.name, contract.DETECTIONS.name

_CHANNELS = ("probability", "offset_px", "sigma_px", "intensity", "sigma_intensity")

_NODES: tuple[NodeLine, ...] = (
    ("Split", (_LOGITS, "1_2_4"), ("logit", "offset", "positive"), {"axis": 1}),
    ("Sigmoid", ("logit",), ("probability",), {}),
    ("Tanh", ("offset",), ("share",), {}),
    ("Mul", ("share", "reach"), ("offset_px",), {}),
    ("Softplus", ("positive",), ("softplus",), {}),
    ("Mul", ("softplus", "factors"), ("scaled",), {}),
    ("Add", ("scaled", "least"), ("limited",), {}),
    ("Split", ("limited", "2_1_1"), ("sigma_px", "intensity", "relative_sigma"), {"axis": 1}),
    ("Mul", ("intensity", "relative_sigma"), ("sigma_intensity",), {}),
    ("Concat", _CHANNELS, (_DETECTIONS,), {"axis": 1}),
)


def _of_channels(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(1, -1, 1, 1)


_CONSTANTS: dict[str, NDArray[Any]] = {
    "1_2_4": np.array([1, 2, 4], np.int64),
    "2_1_1": np.array([2, 1, 1], np.int64),
    "reach": np.array(contract.MAX_OFFSET_PX, np.float32),
    "factors": _of_channels(FACTORS),
    "least": _of_channels(LEAST),
}


def activated(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network with the contract's ``DETECTIONS``.

    Parameters
    ----------
    network : ModelProto
        Its one output is ``LOGITS``, (N, 7, H, W) float32. It is left as it is.

    Raises
    ------
    ContractError
        If its output is another.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(network)
    graph = whole.graph
    if [tensor.name for tensor in graph.output] != [_LOGITS]:
        raise ContractError(
            f"the network answers with {', '.join(tensor.name for tensor in graph.output)}; "
            f"expected {_LOGITS} alone, of which detections are made"
        )
    graph.node.extend(prefixed_nodes(_NODES, PREFIX, {_LOGITS, _DETECTIONS}))
    graph.initializer.extend(
        numpy_helper.from_array(value, PREFIX + name) for name, value in _CONSTANTS.items()
    )
    graph.value_info.append(graph.output[0])
    graph.output[0].name = _DETECTIONS
    return whole


def without_activation(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network up to ``LOGITS``: what `activated` was given.

    Raises
    ------
    ContractError
        If ``LOGITS`` is no inner tensor of the network.
    """
    layers = onnx.ModelProto()
    layers.CopyFrom(network)
    graph = layers.graph
    if not any(_LOGITS in node.output for node in graph.node):
        raise ContractError(
            f"the network has no inner tensor {_LOGITS}; expected detections of 'recon-train "
            "export' of this release: export the run again"
        )
    remove_prefixed(graph, PREFIX)
    graph.output[0].name = _LOGITS
    kept = [tensor for tensor in graph.value_info if tensor.name != _LOGITS]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    return layers
