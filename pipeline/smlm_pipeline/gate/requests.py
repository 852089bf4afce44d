"""The check of a request before a server parses it, against the contract and a client's limits.

A server gets what is written here from the values that were checked, never the bytes of the
client: two parsers that read one message in different ways do no harm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.compute.bounds import check_frames
from smlm_pipeline.compute.normalize import check_levels
from smlm_pipeline.compute.window import (
    Window,
    check_class_borders,
    check_image_size,
    check_map_window,
    check_window,
)
from smlm_pipeline.engines.triton.wire_format import HEADER_BYTES_MOST, encoded, taken_apart
from smlm_pipeline.errors import ChunkError, ContractError
from smlm_pipeline.gate.clients import Limits

_NUMPY_TYPES = {"UINT8": np.uint8, "UINT16": np.uint16, "INT32": np.int32, "FP32": np.float32}
"""Types of tensors, all of whose bytes are little-endian."""

_PIXELS_MOST = max(answer.pixels_most for answer in contract.ANSWERS)

REQUEST_BYTES_MOST = (
    HEADER_BYTES_MOST + 2 * _PIXELS_MOST + 8 * contract.MAX_FRAMES + HEADER_BYTES_MOST
)
"""Most bytes of a message: frames, levels, small tensors, header."""

_ENTRY_BYTES = sum(
    np.dtype(_NUMPY_TYPES[spec.dtype]).itemsize for spec in (contract.STEP, contract.WEIGHT)
)
_MOLECULE_BYTES = len(contract.MOLECULE_COLUMNS) * np.dtype(np.float32).itemsize

_ID_LENGTH_MOST = 64
_VERSION_LENGTH_MOST = 9

Tensors = Mapping[str, tuple[tuple[int, ...], memoryview]]
"""Shape and bytes of each input."""


@dataclass(frozen=True)
class CheckedRequest:
    """A request as the server gets it, with its frames, and the most bytes of its answer."""

    message: bytes
    frames: int
    answer_bytes_most: int


def answer_bytes_most(sr_pixels: int, pixels: int, *, molecules: bool) -> int:
    """Most bytes that an answer can have.

    Each SR pixel takes an entry, each sum above 2^16 another, of which every camera pixel of every
    frame adds at most one, and so does each long way without a sum. Every camera pixel of every
    frame may show a molecule.

    Parameters
    ----------
    sr_pixels : int
        SR pixels of the image, over all classes.
    pixels : int
        Camera pixels of the request, over all frames.
    molecules : bool
        Whether it asks for molecules.
    """
    of_molecules = _MOLECULE_BYTES * pixels if molecules else 0
    return _ENTRY_BYTES * (sr_pixels + 2 * pixels) + of_molecules + HEADER_BYTES_MOST


ANSWER_BYTES_MOST = answer_bytes_most(contract.MAX_IMAGE_PIXELS, _PIXELS_MOST, molecules=True)
"""Most bytes of an answer to any request."""


def check_request(message: bytes, limits: Limits) -> CheckedRequest:
    """Check a request for inference.

    Parameters
    ----------
    message : bytes
        An encoded ``ModelInferRequest``.
    limits : Limits
        Those of the client.

    Raises
    ------
    ChunkError
        If it is no request that the contract allows, or is larger than the limits.
    ContractError
        If it names a model or a version that no client may ask.
    """
    header, raw = taken_apart(message)
    try:
        asked = service_pb2.ModelInferRequest.FromString(header)
    except DecodeError as error:
        raise ChunkError("the message is no ModelInferRequest") from error
    ensemble = contract.ENSEMBLES.get(asked.model_name)
    if ensemble is None:
        raise ContractError(
            f"there is no model {asked.model_name[:64]!r} for clients; expected one of "
            f"{', '.join(contract.ENSEMBLES)}"
        )
    _check_header(asked)
    spec = ensemble.spec
    tensors = _tensors(asked, raw, spec)
    frames, pixels, window = _check_values(tensors, ensemble)
    for name, count, most in (
        ("frames", frames, limits.frames),
        ("camera pixels", pixels, limits.pixels),
    ):
        if count > most:
            raise ChunkError(
                f"the request has {count} {name}; this gate allows {most}: send smaller chunks "
                "(--chunk-frames)"
            )
    message = _written(asked, spec, tensors)
    most = answer_bytes_most(window.size, pixels, molecules=window.molecules)
    return CheckedRequest(message, frames, most)


def _check_header(asked: Any) -> None:
    version = asked.model_version
    decimal = version.isascii() and version.isdecimal() and len(version) <= _VERSION_LENGTH_MOST
    if version and not decimal:
        raise ContractError("the version of the model is no number; expected none, or a number")
    if len(asked.id) > _ID_LENGTH_MOST or not asked.id.isprintable():
        raise ChunkError(f"the id is no text of at most {_ID_LENGTH_MOST} characters")
    parts = [asked, *asked.inputs, *asked.outputs]
    if any(part.parameters for part in parts):
        raise ChunkError("the request has parameters; expected none")
    if any(tensor.HasField("contents") for tensor in asked.inputs):
        raise ChunkError("an input has typed contents; expected raw_input_contents")


def _tensors(asked: Any, raw: list[memoryview], spec: contract.ModelSpec) -> Tensors:
    """The inputs by name: each once, of the contract's type and axes, with as many bytes."""
    specs = {tensor.name: tensor for tensor in spec.inputs}
    names = [tensor.name for tensor in asked.inputs]
    if sorted(names) != sorted(specs) or len(raw) != len(names):
        raise ChunkError(
            f"the request has {len(names)} inputs and {len(raw)} raw contents; expected "
            f"{', '.join(specs)}, each once"
        )
    outputs = [tensor.name for tensor in asked.outputs]
    known = {tensor.name for tensor in spec.outputs}
    if len(set(outputs)) != len(outputs) or not known.issuperset(outputs):
        raise ChunkError(f"the request asks for other outputs than {', '.join(sorted(known))}")
    tensors = {}
    for tensor, values in zip(asked.inputs, raw, strict=True):
        stated = specs[tensor.name]
        shape = tuple(tensor.shape)
        fits = len(shape) == len(stated.dims) and all(
            size == dim or (dim == -1 and size >= 0)
            for size, dim in zip(shape, stated.dims, strict=True)
        )
        if tensor.datatype != stated.dtype or not fits:
            raise ChunkError(
                f"{stated.name} is {tensor.datatype[:16]!r} of shape {shape[:8]}; expected "
                f"{stated.dtype} of {stated.dims}, -1 for any length"
            )
        size_bytes = math.prod(shape) * np.dtype(_NUMPY_TYPES[stated.dtype]).itemsize
        if size_bytes != values.nbytes:  # Python's whole numbers do not wrap
            raise ChunkError(
                f"{stated.name} of shape {shape} has {values.nbytes} bytes; expected {size_bytes}"
            )
        tensors[stated.name] = (shape, values)
    return tensors


def _check_values(tensors: Tensors, ensemble: contract.Ensemble) -> tuple[int, int, Window]:
    """Check the bounds of all that has some; return frames, pixels over all frames, window."""

    def values_of(spec: contract.TensorSpec) -> NDArray[Any]:
        shape, values = tensors[spec.name]
        return np.frombuffer(values, np.dtype(_NUMPY_TYPES[spec.dtype])).reshape(shape)

    answer = ensemble.answer
    (frames, height_px, width_px, _), _ = tensors[contract.FRAMES.name]
    levels_adu = values_of(contract.LEVELS)
    check_frames((frames, height_px, width_px), levels_adu.shape, answer)
    check_levels(levels_adu, frames)
    window = values_of(contract.WINDOW)
    if answer.makes_maps:
        asked = check_map_window(window, answer.zoom * height_px, answer.zoom * width_px)
    else:
        asked = check_window(window, height_px, width_px)
    check_image_size(asked)
    if contract.CLASS_BORDERS.name in tensors:
        check_class_borders(values_of(contract.CLASS_BORDERS), asked.classes)
    return frames, frames * height_px * width_px, asked


def _written(asked: Any, spec: contract.ModelSpec, tensors: Tensors) -> bytes:
    """The request in the contract's order."""
    header = service_pb2.ModelInferRequest(
        model_name=spec.name, model_version=asked.model_version, id=asked.id
    )
    for tensor in spec.inputs:
        shape, _ = tensors[tensor.name]
        header.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=shape)
    for output in asked.outputs:
        header.outputs.add(name=output.name)
    values = [tensors[tensor.name][1] for tensor in spec.inputs]
    return encoded(header.SerializeToString(), values)
