"""Encode a request for inference with a single copy of its tensors.

Triton's client library copies arrays three times: into bytes, into a message and into its encoding.
Frames are nearly all of a request, and such copies are most of the client's own time.
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
    """Append tensors to an encoded message: protobuf merges messages that follow one another.

    Parameters
    ----------
    header : bytes
        Encoded ``ModelInferRequest`` with model and inputs, and without tensors.
    tensors : sequence of ndarray
        Values of these inputs, in the same order.
    """
    parts: list[bytes | memoryview] = [header]
    for tensor in tensors:
        values = np.ascontiguousarray(tensor)
        parts.append(bytes([_RAW_INPUT_CONTENTS << 3 | _LENGTH_DELIMITED]))
        parts.append(_varint(values.nbytes))
        parts.append(values.data.cast("B"))
    return b"".join(parts)


def _varint(number: int) -> bytes:
    """Encode a whole number for protobuf: seven bits a byte, the lowest first."""
    encoding = bytearray()
    while number > 0x7F:
        encoding.append(number & 0x7F | 0x80)
        number >>= 7
    encoding.append(number)
    return bytes(encoding)
