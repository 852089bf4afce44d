"""What a server's memory holds does not pass the gate."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
import pytest

from fakes.gates import code_of, gate_before
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.engines.triton.errors import error_of
from smlm_pipeline.errors import SwappedAnswerError


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT])
def test_memory_instead_of_a_reason_stays_behind(code: grpc.StatusCode) -> None:
    """It may be another client's. The client still sends its request again."""
    with FakeTriton(ComputingTransport()) as triton, gate_before(triton.address) as gate:
        triton.failure = code, "in ensemble 'reconstruction', secret\x02"
        told, text = code_of(gate.address)
        error = error_of(told, text, gate.address, "frames 0 to 31", several=False)
    assert told == code.name
    assert "secret" not in text
    assert type(error) is SwappedAnswerError
