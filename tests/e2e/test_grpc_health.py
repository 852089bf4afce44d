"""Triton answers gRPC's health protocol, by which Kubernetes knows that it lives."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
import pytest

from smlm_pipeline.engines.embedded import EmbeddedServer

SERVING = b"\x08\x01"
"""HealthCheckResponse of status SERVING, as protobuf (grpc.health.v1)."""


@pytest.mark.triton
def test_a_live_server_is_serving(triton: EmbeddedServer) -> None:
    with grpc.insecure_channel(triton.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=30) == SERVING
