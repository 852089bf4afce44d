"""A network in half precision: FP16 inside, FP32 at its ends and in the most sensitive layers.

TensorRT 11 has no flags for a precision; it computes in the types of the file. The
conversion is that of ONNX Runtime's ``transformers.float16``: it is maintained and
released with ONNX Runtime, which export needs anyway (onnxconverter-common, of
which it is the successor, is released once a year; NVIDIA's ModelOpt AutoCast
brings PyTorch and a GPU's libraries with it, and chooses layers by a network's
values, which here a rule does as well).

The last convolution on each path to the output and all nodes after it stay in FP32: the
sigmoid, the offsets and the unit of the sum, from which the image is made. So does the
normalisation, since FP16 ends below the largest value of a camera and has too few digits for the
difference of a frame and its background.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from smlm_pipeline.errors import ContractError
from smlm_training.delivery.normalizing_graph import with_normalization, without_normalization
from smlm_training.delivery.request_graph import with_request, without_request

LARGEST = float(np.finfo(np.float16).max)


def halved(network: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with FP16 inside; its tensors keep their names and types.

    Parameters
    ----------
    network : ModelProto
        As ``recon-train export`` writes it, in FP32.

    Raises
    ------
    ContractError
        If it is in FP16 already, has a weight that FP16 cannot hold, or is not of this contract.
    """
    inner = without_normalization(without_request(network))
    _check_weights(inner.graph)
    sensitive = sensitive_nodes(inner.graph)
    converted = OnnxModel(
        float16.convert_float_to_float16(inner, keep_io_types=True, node_block_list=sensitive)
    )
    _keep_full_precision(converted.model.graph)
    converted.prune_graph()
    converted.topological_sort()
    model = with_request(with_normalization(converted.model))
    onnx.checker.check_model(model, full_check=True)
    return model


def _check_weights(graph: onnx.GraphProto) -> None:
    for constant in graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype == np.float16:
            raise ContractError(
                f"the network's {constant.name} is FP16 already; expected a network in FP32"
            )
        floating = np.issubdtype(values.dtype, np.floating)  # ends of slices are not converted
        if floating and np.abs(values).max(initial=0) > LARGEST:
            raise ContractError(
                f"the network's {constant.name} holds {np.abs(values).max():.3g}; FP16 ends at "
                f"{LARGEST:.0f}: serve this network in FP32"
            )


def sensitive_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the last convolution on each path to the output, and of all nodes after it."""
    makers = {name: node for node in graph.node for name in node.output}
    ahead = [output.name for output in graph.output]
    found: list[str] = []
    while ahead:
        node = makers.get(ahead.pop())
        if node is None or node.name in found:
            continue
        found.append(node.name)
        if node.op_type != "Conv":
            ahead += node.input
    return found


def _keep_full_precision(graph: onnx.GraphProto) -> None:
    """Undo the roundings between two FP32 nodes.

    The conversion puts a cast to FP16 after every node that stays in FP32, and a cast back
    before the next one.
    """
    makers = {name: node for node in graph.node for name in node.output}
    same: dict[str, str] = {}
    for node in graph.node:
        before = makers.get(node.input[0]) if _casts_to(node, onnx.TensorProto.FLOAT) else None
        if before is not None and _casts_to(before, onnx.TensorProto.FLOAT16):
            same[node.output[0]] = before.input[0]
    outputs = {output.name for output in graph.output}
    renamed = {source: name for name, source in same.items() if name in outputs}
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.output[0] in renamed:
            node.output[0] = renamed[node.output[0]]
        elif node.output[0] in outputs and node.output[0] in same:
            node.output[0] = f"{node.output[0]}_rounded"  # read by nobody: pruned


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == kind
