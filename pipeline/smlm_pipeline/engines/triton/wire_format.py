"""Encode a request for inference with a single copy of its tensors, and take one apart with none.

Triton's client library copies arrays three times: into bytes, into a message and into its encoding.
Frames are nearly all of a request, and such copies are most of the client's own time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import ChunkError

HEADER_BYTES_MOST, TENSORS_MOST = 1 << 14, 64
"""Most bytes of a message beside its tensors, and most tensors; a client's have 400 and 5."""

_RAW_INPUT_CONTENTS = 7
"""Number of the field of tensors in ``ModelInferRequest`` of KServe's protocol, version 2."""

_LENGTH_DELIMITED = 2


def encoded(header: bytes, tensors: Sequence[NDArray[Any] | memoryview]) -> bytes:
    """Append tensors to an encoded message: protobuf merges messages that follow one another.

    Parameters
    ----------
    header : bytes
        Encoded ``ModelInferRequest`` with model and inputs, and without tensors.
    tensors : sequence of ndarray or memoryview
        Values of these inputs, in the same order.
    """
    parts: list[bytes | memoryview] = [header]
    for tensor in tensors:
        values = tensor if isinstance(tensor, memoryview) else np.ascontiguousarray(tensor).data
        parts.append(bytes([_RAW_INPUT_CONTENTS << 3 | _LENGTH_DELIMITED]))
        parts.append(_varint(values.nbytes))
        parts.append(values.cast("B"))
    return b"".join(parts)


def taken_apart(message: bytes) -> tuple[bytes, list[memoryview]]:
    """Split an encoded ``ModelInferRequest`` into what `encoded` joins; views, no copies.

    The time and the memory that this takes are bounded, whatever the message is.

    Raises
    ------
    ChunkError
        If it is no such message, or has too many or unknown fields.
    """
    view = memoryview(message)
    header, tensors = bytearray(), []
    place = 0
    while place < len(view):
        field, kind = view[place] >> 3, view[place] & 0b111
        if not 1 <= field <= _RAW_INPUT_CONTENTS or kind != _LENGTH_DELIMITED:
            raise ChunkError(f"byte {place} is of no field of ModelInferRequest")
        length, start = _read_varint(view, place + 1)
        end = start + length
        if end > len(view):
            raise ChunkError(f"the field at byte {place} has {length} bytes; expected fewer")
        if field == _RAW_INPUT_CONTENTS:
            tensors.append(view[start:end])
        else:
            header += view[place:end]
        if len(header) > HEADER_BYTES_MOST or len(tensors) > TENSORS_MOST:
            raise ChunkError(
                f"there are {len(header)} bytes beside {len(tensors)} tensors; expected at most "
                f"{HEADER_BYTES_MOST} and {TENSORS_MOST}"
            )
        place = end
    return bytes(header), tensors


def _read_varint(view: memoryview, place: int) -> tuple[int, int]:
    """The whole number at a place, and the place behind it."""
    number = 0
    for shift in range(0, 35, 7):
        if place >= len(view):
            break
        byte = view[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ChunkError(f"a length before byte {place} has no end within 32 bits")


def _varint(number: int) -> bytes:
    """Encode a whole number for protobuf: seven bits a byte, the lowest first."""
    encoding = bytearray()
    while number > 0x7F:
        encoding.append(number & 0x7F | 0x80)
        number >>= 7
    encoding.append(number)
    return bytes(encoding)
