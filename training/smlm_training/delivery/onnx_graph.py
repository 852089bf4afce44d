"""Clean-up of a converter's graph: constant scales, no idle nodes, stable names.

The converter computes the size of every ``Resize`` from the shape of the frames,
leaves reshapes without effect, and names nodes after counters of Keras. One run of the
graph, with every tensor read, shows which tensors are constant or idle.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError

_PROBE = (3, 5 * contract.SIZE_MULTIPLE_PX, 7 * contract.SIZE_MULTIPLE_PX)
"""N, H and W of that run: all different, so that no two axes are taken for each other."""

_KEEPS_ORDER = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that move no value: a chain of them that ends in the first shape does nothing."""

Shapes = dict[str, tuple[int, ...]]


def tidy(model: onnx.ModelProto, last: contract.TensorSpec, zoom: int) -> None:
    """Rewrite a network's graph in place; its numbers stay the same.

    Parameters
    ----------
    model : ModelProto
        One input, (N, C, H, W) float32, and one output, (N, C, zoom H, zoom W) float32.
    last : TensorSpec
        The output in the contract.
    zoom : int
        Its pixels along the edge of a camera pixel.

    Raises
    ------
    ContractError
        If a ``Resize`` does not enlarge by a whole number, or the output is another.
    """
    shapes = _measured(model)
    _resize_by_constants(model.graph, shapes)
    _skip_idle(model.graph, shapes)
    _drop_dead(model.graph)
    _check_shape(shapes[model.graph.output[0].name], last, zoom)
    _rename(model.graph, last)
    _name_axes(model.graph, last, zoom)


def _measured(model: onnx.ModelProto) -> Shapes:
    """Shape of every tensor in one run on blank frames."""
    spied = onnx.ModelProto()
    spied.CopyFrom(model)
    answers = {output.name for output in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name not in answers]
    spied.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = onnxruntime.InferenceSession(
        spied.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    count, height, width = _PROBE
    frames = np.zeros((count, contract.NORMALIZED.dims[1], height, width), np.float32)
    (tensor_in,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {tensor_in.name: frames})
    shapes = {name: value.shape for name, value in zip(names, found, strict=True)}
    return {**shapes, tensor_in.name: frames.shape}


def _resize_by_constants(graph: onnx.GraphProto, shapes: Shapes) -> None:
    """Let every Resize enlarge by a constant scale, not to a computed size.

    The shape arithmetic in front of it is dead then, and no runtime has to evaluate it.
    """
    for node in graph.node:
        if node.op_type != "Resize":
            continue
        before, after = shapes[node.input[0]], shapes[node.output[0]]
        factor = after[2] // before[2]
        if after != (*before[:2], factor * before[2], factor * before[3]):
            raise ContractError(
                f"{node.name} resizes {before} to {after}; expected a whole factor, the same "
                "along y and x"
            )
        scale = f"times_{factor}"
        if scale not in (constant.name for constant in graph.initializer):
            value = np.array([1, 1, factor, factor], np.float32)
            graph.initializer.append(onnx.numpy_helper.from_array(value, scale))
        del node.input[1:]
        node.input.extend(["", scale])


def _skip_idle(graph: onnx.GraphProto, shapes: Shapes) -> None:
    """Read from the start of a chain of reshapes that ends in the shape it began with."""
    starts: dict[str, str] = {}
    same: dict[str, str] = {}
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type in _KEEPS_ORDER:
            start = starts.get(node.input[0], node.input[0])
            starts[node.output[0]] = start
            if shapes[start] == shapes[node.output[0]]:
                same[node.output[0]] = start
    for output in graph.output:
        output.name = same.get(output.name, output.name)


def _drop_dead(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output depends on."""
    needed = {output.name for output in graph.output}
    alive = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            alive.append(node)
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(alive))
    graph.initializer.extend(constants)


def _check_shape(shape: tuple[int, ...], last: contract.TensorSpec, zoom: int) -> None:
    """Refuse an output of another shape."""
    count, height, width = _PROBE
    expected = (count, last.dims[1], zoom * height, zoom * width)
    if shape != expected:
        raise ContractError(
            f"the network answers {_PROBE} frames, rows and columns with {shape}; "
            f"expected {expected}, the contract's {last.name}"
        )


def _rename(graph: onnx.GraphProto, last: contract.TensorSpec) -> None:
    """Name nodes by operator and order, tensors by their node; the ends by the contract.

    So the same weights give the same file, however many networks Keras built before.
    """
    graph.name, graph.doc_string = "network", ""
    names = {
        graph.output[0].name: last.name,
        graph.input[0].name: contract.NORMALIZED.name,
    }
    constants = {constant.name for constant in graph.initializer}
    seen: Counter[str] = Counter()
    for node in graph.node:
        kind = node.op_type.lower()
        seen[kind] += 1
        node.name = f"{kind}_{seen[kind]}"
        names.setdefault(node.output[0], node.name)
        for place, name in enumerate(node.input):
            if name in constants:
                names.setdefault(name, f"{node.name}/input_{place}")
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for constant in graph.initializer:
        constant.name = names[constant.name]
    for tensor in (*graph.input, *graph.output):
        tensor.name = names[tensor.name]


def _name_axes(graph: onnx.GraphProto, last: contract.TensorSpec, zoom: int) -> None:
    """Name the open axes N, H and W instead of the converter's names."""
    fine = "" if zoom == 1 else f"{zoom}*"
    for tensor, channels, scale in (
        (graph.input[0], contract.NORMALIZED.dims[1], ""),
        (graph.output[0], last.dims[1], fine),
    ):
        axes = tensor.type.tensor_type.shape
        del axes.dim[:]
        axes.dim.add(dim_param="N")
        axes.dim.add(dim_value=channels)
        axes.dim.add(dim_param=f"{scale}H")
        axes.dim.add(dim_param=f"{scale}W")
