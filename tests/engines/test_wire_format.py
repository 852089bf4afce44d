"""The bytes of a request are those of the message that Triton's own client would send."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from smlm_pipeline.engines.triton.wire_format import encoded


@pytest.mark.parametrize("size", [0, 1, 63, 64, 8191, 8192, 1 << 21])
def test_the_message_is_the_one_of_protobuf(size: int) -> None:
    """At the sizes, in bytes, where the encoding of a length grows by a byte."""
    rng = np.random.default_rng(size)
    frames = rng.integers(0, 1 << 16, size, np.uint16)
    tensors: list[NDArray[Any]] = [frames, np.ones((2, 3), np.float32)]
    message = service_pb2.ModelInferRequest(model_name="reconstruction", id="7")
    for name, tensor in zip("ab", tensors, strict=True):
        message.inputs.add(name=name, datatype="ANY", shape=tensor.shape)
    header = message.SerializeToString()
    message.raw_input_contents.extend(tensor.tobytes() for tensor in tensors)
    assert service_pb2.ModelInferRequest.FromString(encoded(header, tensors)) == message


def test_a_view_is_sent_as_it_is_seen() -> None:
    values = np.arange(24, dtype=np.uint16).reshape(4, 6)
    for view in (values[1:3, 2:5], np.broadcast_to(values[0], (2, 6)), values.T):
        sent = service_pb2.ModelInferRequest.FromString(encoded(b"", [view])).raw_input_contents
        assert list(sent) == [view.tobytes()]
