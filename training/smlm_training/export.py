"""Keras network -> ONNX file with the contract's tensor names and axes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError

OPSET = 17
"""Understood by TensorRT 10 and 11, by TensorRT-RTX and by ONNX Runtime."""

PARITY_TOLERANCE = 1e-3
"""Largest difference between Keras and ONNX Runtime that export accepts."""


@dataclass(frozen=True)
class Export:
    """What was written: its size, its parameters, and how far it is from Keras."""

    path: Path
    size_bytes: int
    parameters: int
    parity_max_difference: float


def export(model: keras.Model, path: Path, reference_frames: NDArray[np.float32]) -> Export:
    """Write ``model`` to ``path`` and check it against Keras.

    Parameters
    ----------
    model : keras.Model
        (N, H, W, 1) -> (N, H, W, C), computing in float32.
    path : Path
        The ONNX file; replaced as a whole.
    reference_frames : ndarray, shape (N, 1, H, W), float32
        Normalised frames on which both runtimes must agree.

    Raises
    ------
    ContractError
        If ONNX Runtime and Keras differ by more than ``PARITY_TOLERANCE``.
    """
    graph = _convert(model)
    onnx.checker.check_model(graph, full_check=True)
    beside = path.with_suffix(".partial.onnx")
    try:
        onnx.save(graph, beside)
        difference = _parity(model, beside, reference_frames)
        if not difference <= PARITY_TOLERANCE:
            raise ContractError(
                f"the exported network differs from Keras by {difference:.2g}; "
                f"expected at most {PARITY_TOLERANCE:.0e}"
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return Export(path, path.stat().st_size, model.count_params(), difference)


def _convert(model: keras.Model) -> onnx.ModelProto:
    """ONNX graph with channels first and the contract's names, N, H and W left open."""
    frames, detections = contract.NORMALIZED.name, contract.DETECTIONS.name
    signature = [tf.TensorSpec((None, None, None, 1), tf.float32, name=frames)]

    @tf.function(input_signature=signature, autograph=False)
    def forward(normalized: tf.Tensor) -> dict[str, tf.Tensor]:
        return {detections: model(normalized, training=False)}

    graph, _ = tf2onnx.convert.from_function(
        forward,
        input_signature=signature,
        opset=OPSET,
        inputs_as_nchw=[frames],
        outputs_as_nchw=[detections],
    )
    _double_by_scale(graph)
    _name_axes(graph)
    return graph


def _double_by_scale(graph: onnx.ModelProto) -> None:
    """Let every Resize double by a constant scale, not by a computed size.

    The network resizes only to double; with the scale as a constant the shape
    arithmetic in front of it is dead, and no runtime has to evaluate it.
    """
    scale = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "double")
    graph.graph.initializer.append(scale)
    for node in graph.graph.node:
        if node.op_type == "Resize":
            del node.input[1:]
            node.input.extend(["", scale.name])
    _drop_dead(graph.graph)


def _drop_dead(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output depends on."""
    needed = {output.name for output in graph.output}
    alive = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            alive.append(node)
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(alive))
    graph.initializer.extend(constants)


def _name_axes(graph: onnx.ModelProto) -> None:
    """Open axes called N, H and W instead of whatever the converter made up."""
    for tensor, channels in (
        (graph.graph.input[0], 1),
        (graph.graph.output[0], contract.DETECTIONS.dims[0]),
    ):
        axes = tensor.type.tensor_type.shape.dim
        for axis, value in zip(axes, ("N", channels, "H", "W"), strict=True):
            if value == channels:
                axis.dim_value = channels
            else:
                axis.dim_param = str(value)


def _parity(model: keras.Model, path: Path, frames: NDArray[np.float32]) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run([contract.DETECTIONS.name], {contract.NORMALIZED.name: frames})
    expected = np.asarray(model(frames.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    return float(np.abs(found - expected).max())
