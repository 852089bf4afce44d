"""One server behind a gate: a connection of its own, on which messages are bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import grpc  # type: ignore[import-untyped]

from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.channel import EJECTION_S, channel_arguments
from smlm_pipeline.engines.triton.credentials import credentials_of
from smlm_pipeline.gate.requests import ANSWER_BYTES_MOST

SERVICE = "/inference.GRPCInferenceService/"

QUESTIONS = (
    *("ServerLive", "ServerReady", "ServerMetadata"),
    *("ModelReady", "ModelMetadata", "ModelConfig"),
)
"""Methods of Triton, beside ``ModelInfer``, that clients may call; no other one exists here."""

QUESTION_S = 5.0
"""Longest wait for the answer to a question, and for a connection."""

TURNS_MOST = 64
"""Most requests that a server has to compute, if its queues state no bounds."""

_OWN = {
    "grpc.max_receive_message_length": ANSWER_BYTES_MOST,
    # 64 kB of an answer come before it is read: by default a fast network makes it megabytes.
    "grpc.http2.bdp_probe": 0,
    # Unlike round robin, it opens a connection that was lost when it is asked to, and not before.
    "grpc.service_config": json.dumps({"loadBalancingConfig": [{"pick_first": {}}]}),
}

_READY = grpc.ChannelConnectivity.READY

_FAILURES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
"""Codes of a server that fails. That of a full queue is one, but then all are busy."""


class Calls:
    """One server: Triton's calls, whose messages are bytes.

    Parameters
    ----------
    servers : Servers
        Its numeric address.
    """

    def __init__(self, servers: Servers) -> None:
        self.requests, self.tls = 0, servers.tls
        self.turns, self.turns_most = 0, TURNS_MOST
        self._aside_until_s = 0.0
        target, _ = servers.connection()
        arguments = [*{**dict(channel_arguments(target, 1)), **_OWN}.items()]
        if servers.tls is None:
            self._channel = grpc.aio.insecure_channel(target, options=arguments)
        else:
            credentials, named = credentials_of(servers.tls)
            self._channel = grpc.aio.secure_channel(target, credentials, [*arguments, *named])
        self.infer = self._channel.stream_stream(f"{SERVICE}ModelInfer")
        self.questions = {name: self._channel.unary_unary(SERVICE + name) for name in QUESTIONS}

    @property
    def is_connected(self) -> bool:
        """Whether the connection is that of the last `connect`: it does not come back by itself."""
        return bool(self._channel.get_state() is _READY)

    @property
    def is_aside(self) -> bool:
        """Whether it has failed lately."""
        return time.monotonic() < self._aside_until_s

    def ended(self, code: grpc.StatusCode) -> None:
        """Note the code of a request.

        Others are preferred for a while after a failure: a server that drains fails at once, and
        so seems the idlest.
        """
        if code in _FAILURES:
            self._aside_until_s = time.monotonic() + EJECTION_S

    async def connect(self) -> bool:
        """Open the connection; False if that takes too long."""

        async def connected() -> None:
            while (state := self._channel.get_state(try_to_connect=True)) is not _READY:
                await self._channel.wait_for_state_change(state)

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(connected(), QUESTION_S)
        return self.is_connected

    async def close(self) -> None:
        """Close the connection; what is under way on it ends."""
        await self._channel.close()
