"""A request for inference as bytes, in which its tensors are copied once.

A client library that is given arrays copies them three times before gRPC has them: into bytes,
into a message and into its encoding. Frames are nearly all of a request, and the client's share of
the time is such copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RAW_INPUT_CONTENTS = 7
"""Number of the field of tensors in ``ModelInferRequest`` of KServe's protocol, version 2."""

_LENGTH_DELIMITED = 2


def encoded(header: bytes, tensors: Sequence[NDArray[Any]]) -> bytes:
    """A message and its tensors: messages of protobuf that follow one another are merged.

    Parameters
    ----------
    header : bytes
        ``ModelInferRequest`` that states model and inputs, and holds no tensor.
    tensors : sequence of ndarray
        Values of these inputs, in their order.
    """
    parts: list[bytes | memoryview] = [header]
    for tensor in tensors:
        values = np.ascontiguousarray(tensor)
        parts.append(bytes([_RAW_INPUT_CONTENTS << 3 | _LENGTH_DELIMITED]))
        parts.append(_varint(values.nbytes))
        parts.append(values.data.cast("B"))
    return b"".join(parts)


def _varint(number: int) -> bytes:
    """A whole number as protobuf encodes it: seven bits a byte, the lowest first."""
    encoding = bytearray()
    while number > 0x7F:
        encoding.append(number & 0x7F | 0x80)
        number >>= 7
    encoding.append(number)
    return bytes(encoding)
