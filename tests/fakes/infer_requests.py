"""Requests for inference as a client encodes them, honest ones and those that end a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract

BEYOND = 1 << 62
"""Times four it is 2^64, which is 0 in 64 bits."""

SPECS = {model.name: model for model in contract.MODELS}


def arrays(count: int = 2, height_px: int = 32, width_px: int = 32) -> dict[str, NDArray[Any]]:
    """Sound values of every input of every model, for a tile of this size."""
    detections = np.zeros((count, 7, height_px, width_px), np.float32)
    detections[:, 3:] = 0.1
    return {
        "FRAMES": np.full((count, height_px, width_px, 2), 1, np.uint8),
        "LEVELS": np.ones((count, 2), np.float32),
        "DETECTIONS": detections,
        "MAP": np.zeros((count, 1, 8 * height_px, 8 * width_px), np.float32),
        "WINDOW": np.array([8, 0, 0, height_px, width_px, 1, 0], np.int32),
        "CLASS_BORDERS": np.array([0.1, 0.2, 0.3], np.float32),
    }


def request(
    model: str = contract.RECONSTRUCTION.name,
    values: Mapping[str, NDArray[Any]] | None = None,
    claimed: Mapping[str, tuple[tuple[int, ...], bytes]] | None = None,
) -> service_pb2.ModelInferRequest:
    """A request with these values; ``claimed`` are shapes and bytes that inputs have instead."""
    asked = service_pb2.ModelInferRequest(model_name=model)
    sound = {**arrays(), **(values or {})}
    for spec in SPECS[model].inputs:
        # an input that this fake does not know, of a later contract, is all zeros
        array = sound.get(spec.name, np.zeros([max(size, 0) for size in spec.dims], np.uint8))
        shape, content = (claimed or {}).get(spec.name, (array.shape, array.tobytes()))
        if spec.name not in sound:
            content = bytes(array.size * {"UINT8": 1, "UINT16": 2}.get(spec.dtype, 4))
        asked.inputs.add(name=spec.name, datatype=spec.dtype, shape=shape)
        asked.raw_input_contents.append(content)
    return asked


SHAPES_THAT_WRAP: dict[str, tuple[str, dict[str, tuple[tuple[int, ...], bytes]]]] = {
    "no bytes": (
        "reconstruction",
        {"FRAMES": ((BEYOND, 0, 64, 2), b""), "LEVELS": ((0, 2), b"")},
    ),
    "as many bytes as 2 frames": ("reconstruction", {"FRAMES": ((BEYOND + 2, 4, 4, 2), bytes(64))}),
    "two minus signs": ("reconstruction", {"FRAMES": ((-2, -4, 4, 2), bytes(64))}),
    "fast": ("reconstruction_fast", {"FRAMES": ((BEYOND, 0, 64, 2), b"")}),
    "map": ("reconstruction_map", {"FRAMES": ((BEYOND, 0, 64, 2), b"")}),
    "levels": ("reconstruction", {"LEVELS": ((1 << 61, 2), b"")}),
    "network": ("unet", {"FRAMES": ((BEYOND, 0, 64, 2), b""), "LEVELS": ((0, 2), b"")}),
    "detections": ("summation", {"DETECTIONS": ((1, 7, -4, -4), bytes(448))}),
    "no detections": ("summation", {"DETECTIONS": ((1, 7, 1 << 61, 16), b"")}),
    "maps": ("summation_map", {"MAP": ((1, 1, -8, -8), bytes(256))}),
}
"""Model and inputs whose product of dimensions, in 64 bits, agrees with the bytes that are sent:
each ends the process of a model of Triton 2.51, for ever unless it is watched."""


def too_large(name: str) -> service_pb2.ModelInferRequest:
    """A well-formed request that took more memory than the machine had, by its name."""
    count, height_px, width_px, zoom = LARGE[name]
    values = arrays(count, height_px, width_px)
    values["WINDOW"] = np.array([zoom, 0, 0, height_px, width_px, 1, 0], np.int32)
    return request(values={key: values[key] for key in ("FRAMES", "LEVELS", "WINDOW")})


LARGE = {
    "zoom": (1, 512, 512, 64),
    "edges": (1, 1024, 1024, 8),
    "line": (1, 16, 1_000_000, 1),
    "frames": (20_000, 16, 16, 1),
    "pixels": (17, 512, 512, 8),
}
"""Frames, height, width and zoom; messages that are larger than any sound one have a test apart."""
