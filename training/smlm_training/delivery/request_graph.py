"""The number of a request as it passes through a network's ONNX graph.

A server on a GPU runs the graph itself, so its answer shows by this number which request it is to;
see ``contract.REQUEST``.
"""

from __future__ import annotations

import onnx
from onnx import helper

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_training.delivery.graph_end import NodeLine, prefixed_nodes, remove_prefixed

PREFIX = "pass_on/"
"""Beginning of the name of the node that passes the number on."""

_READ, _ANSWERED = contract.REQUEST.name, contract.COMPUTED_REQUEST.name

_NODES: tuple[NodeLine, ...] = (("Identity", (_READ,), (_ANSWERED,), {}),)


def with_request(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network with ``REQUEST`` as its last input and ``COMPUTED_REQUEST`` as its last output.

    Parameters
    ----------
    network : ModelProto
        Reads ``FRAMES`` and ``LEVELS``. It is left as it is.

    Raises
    ------
    ContractError
        If it reads other tensors.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(network)
    graph = whole.graph
    read = [tensor.name for tensor in graph.input]
    if read != [contract.FRAMES.name, contract.LEVELS.name]:
        raise ContractError(
            f"the network reads {', '.join(read)}; expected {contract.FRAMES.name} and "
            f"{contract.LEVELS.name}, to which {_READ} is added"
        )
    graph.node.extend(prefixed_nodes(_NODES, PREFIX, {_READ, _ANSWERED}))
    for tensors, name in ((graph.input, _READ), (graph.output, _ANSWERED)):
        tensors.append(
            helper.make_tensor_value_info(name, onnx.TensorProto.INT32, contract.REQUEST.dims)
        )
    return whole


def without_request(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network without the number: what `with_request` was given.

    Raises
    ------
    ContractError
        If it does not pass the number on.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(network)
    graph = bare.graph
    ends = graph.input, graph.output
    names = [tensors[-1].name if tensors else "" for tensors in ends]
    if names != [_READ, _ANSWERED]:
        raise ContractError(
            f"the network does not pass {_READ} on as {_ANSWERED}; expected one of 'recon-train "
            "export' of this release: export the run again"
        )
    remove_prefixed(graph, PREFIX)
    for tensors in ends:
        del tensors[-1]
    return bare
