"""Nodes of ours before or behind the layers of a network; their names tell which they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import onnx
from onnx import helper

NodeLine = tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]
"""Operator, inputs, outputs and attributes of a node."""


def prefixed_nodes(
    lines: Iterable[NodeLine], prefix: str, ends: Collection[str]
) -> list[onnx.NodeProto]:
    """The nodes, each named after its first result.

    Parameters
    ----------
    lines : iterable of NodeLine
        The nodes.
    prefix : str
        Beginning of the names of nodes, tensors and constants.
    ends : collection of str
        Tensors that keep their names.
    """

    def named(names: tuple[str, ...]) -> list[str]:
        return [name if name in ends else prefix + name for name in names]

    return [
        helper.make_node(kind, named(inputs), named(outputs), prefix + outputs[0], **attributes)
        for kind, inputs, outputs, attributes in lines
    ]


def remove_prefixed(graph: onnx.GraphProto, prefix: str) -> None:
    """Remove the nodes and constants whose names begin so."""
    nodes = [node for node in graph.node if not node.name.startswith(prefix)]
    constants = [each for each in graph.initializer if not each.name.startswith(prefix)]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
