"""What a GPU is expected to do, by calculation: a roofline of each layer of a network's file.

No GPU has run this project. A layer takes as long as its arithmetic or its memory, whichever is
longer, at a stated share of the vendor's peaks. Activations, sums and scales are taken to be
computed with the layer before them, as TensorRT does. Expect the truth within a factor of two;
``recon-bench gpu-check`` measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from smlm_bench.console import grid
from smlm_pipeline import contract
from smlm_pipeline.model_repository import find_model_repository, network_file

SIZES_PX = (64, 256, 512)
"""Edges of the frames of the tables."""

REACHED = {"FP32": 0.65, "TF32": 0.40, "FP16": 0.35}
"""Share of the peak that convolutions of this width usually reach, by arithmetic: 0.3 to 0.5 in
TF32 and 0.25 to 0.5 in FP16, more where there are more channels."""

MEMORY_REACHED = 0.8
"""Share of the memory's bandwidth that is reached."""

_VALUE_BYTES = {"FP32": 4, "TF32": 4, "FP16": 2}

_PASSES = {"MaxPool", "Resize", "DepthToSpace"}
"""Operators beside convolutions that read and write memory on their own."""

_EDGE_PX = 64
"""Edge of the frame by which a pixel's costs are counted."""


@dataclass(frozen=True)
class GpuPeaks:
    """Peaks of a GPU by its data sheet: dense arithmetic per second, memory bytes per second.

    FP16 is with sums in FP32. Without TF32 it is None.
    """

    name: str
    fp32: float
    tf32: float | None
    fp16: float
    memory: float

    def of(self, arithmetic: str) -> float | None:
        """Peak of an arithmetic of ``REACHED``."""
        return {"FP32": self.fp32, "TF32": self.tf32, "FP16": self.fp16}[arithmetic]


GPUS = (
    GpuPeaks("H100 SXM", 67e12, 494e12, 989e12, 3.35e12),
    GpuPeaks("A100 SXM 80 GB", 19.5e12, 156e12, 312e12, 2.04e12),
    GpuPeaks("L40S", 91.6e12, 183e12, 362e12, 0.864e12),
    GpuPeaks("RTX 4090", 82.6e12, 82.6e12, 165e12, 1.01e12),
    GpuPeaks("L4", 30.3e12, 60e12, 121e12, 0.30e12),
    GpuPeaks("T4", 8.1e12, None, 65e12, 0.32e12),
)


@dataclass(frozen=True)
class Layer:
    """The costs of a layer for one camera pixel: operations, and values read and written."""

    operations: float
    values: float


def layers_of(network: onnx.ModelProto) -> list[Layer]:
    """Count the costs of the layers of a network of the contract.

    Parameters
    ----------
    network : ModelProto
        As ``recon-train export`` writes it.
    """
    shapes = _shapes(network)
    pixels = _EDGE_PX**2
    layers = []
    for node in network.graph.node:
        values = sum(_size(shapes[name]) for name in (node.input[0], node.output[0])) / pixels
        if node.op_type == "Conv":
            per_output = 2 * _size(shapes[node.input[1]][1:])
            operations = per_output * _size(shapes[node.output[0]]) / pixels
            layers.append(Layer(operations, values))
        elif node.op_type in _PASSES:
            layers.append(Layer(0, values))
    return layers


def frames_per_s(layers: list[Layer], gpu: GpuPeaks, arithmetic: str, size_px: int) -> float | None:
    """Frames a second of whole requests of square frames; None without such arithmetic."""
    peak = gpu.of(arithmetic)
    if peak is None:
        return None
    operations_per_s = REACHED[arithmetic] * peak
    values_per_s = MEMORY_REACHED * gpu.memory / _VALUE_BYTES[arithmetic]
    pixel_s = sum(
        max(each.operations / operations_per_s, each.values / values_per_s) for each in layers
    )
    return 1 / (pixel_s * size_px**2)


def tables(model_repository: Path | None = None) -> str:
    """The tables of ``docs/gpu/expected.md``, in Markdown: one for each network."""
    repository = find_model_repository(model_repository)
    parts = []
    for name in contract.NETWORKS:
        layers = layers_of(onnx.load(network_file(repository, name)))
        giga = sum(each.operations for each in layers) / 1e9
        counts = ", ".join(f"{giga * size**2:.2f} at {size} px" for size in SIZES_PX)
        parts += [f"`{name}`, 10^9 operations a frame: {counts}.", _table(layers)]
    return "\n\n".join(parts) + "\n"


def _table(layers: list[Layer]) -> str:
    heads = ["frames/s", *(f"{size} px {kind}" for size in SIZES_PX for kind in REACHED)]
    rows = [
        [
            gpu.name,
            *(
                _rounded(frames_per_s(layers, gpu, kind, size))
                for size in SIZES_PX
                for kind in REACHED
            ),
        ]
        for gpu in GPUS
    ]
    return grid(heads, rows)


def _rounded(value: float | None) -> str:
    """Two digits: no more are meant."""
    return "-" if value is None else f"{float(f'{value:.2g}'):,.0f}"


def _shapes(network: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor for one frame."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(network)
    sizes = {
        contract.FRAMES.name: (1, _EDGE_PX, _EDGE_PX, contract.FRAMES.dims[-1]),
        contract.LEVELS.name: (1, contract.LEVELS.dims[-1]),
        contract.REQUEST.name: contract.REQUEST.dims,
    }
    del fixed.graph.value_info[:]
    for tensor in fixed.graph.input:
        for axis, size in zip(tensor.type.tensor_type.shape.dim, sizes[tensor.name], strict=True):
            axis.dim_value = size
    for tensor in fixed.graph.output:
        tensor.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for each in (*graph.value_info, *graph.input, *graph.output):
        shapes[each.name] = tuple(axis.dim_value for axis in each.type.tensor_type.shape.dim)
    return shapes


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))
