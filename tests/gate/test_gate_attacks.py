"""Attacks on an open gate over raw HTTP/2, from several hosts: others are served meanwhile."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from fakes.gates import RunningGate, gate_before
from fakes.infer_requests import request
from fakes.mutations import chance_of, seeds
from fakes.processes import wait_for
from fakes.raw_http2 import Crowd, RawClient, crowd
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.gate.calls import SERVICE
from smlm_pipeline.gate.service import CLIENT_QUESTIONS_MOST

MESSAGE = request().SerializeToString()
HOSTS = [f"127.0.0.{number}" for number in (11, 12, 13, 14)]
CALLS = 16
"""Those that the gate allows to each client."""

_AT_ONCE = ("grpc.initial_reconnect_backoff_ms", "grpc.max_reconnect_backoff_ms")


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    with FakeTriton(ComputingTransport()) as triton:
        yield triton


def _is_served(gate: RunningGate) -> bool:
    """Whether a client that connects now gets its answer, without a refusal."""
    options = [("grpc.use_local_subchannel_pool", 1), *((name, 100) for name in _AT_ONCE)]
    with grpc.insecure_channel(gate.address, options=options) as channel:
        try:
            channel.unary_unary(f"{SERVICE}ModelInfer")(MESSAGE, timeout=30)
        except grpc.RpcError:
            return False
        return True


def _counts(gate: RunningGate) -> str:
    with urllib.request.urlopen(f"http://{gate.page}/metrics", timeout=30) as page:
        return str(page.read().decode())


def _most_mb(gate: RunningGate) -> float:
    status = Path(f"/proc/{gate.process.pid}/status").read_text()
    (most_kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(most_kib) / 1024


def _under_way(gate: RunningGate) -> int:
    return sum(map(int, re.findall(r"under_way{\S+} (\d+)", _counts(gate))))


def test_requests_that_never_end(triton: FakeTriton) -> None:
    """Four clients begin 16 each, as many as they may; before, these took all places."""
    most = CALLS * len(HOSTS)
    with gate_before(triton.address) as gate, crowd(gate.address) as attackers:
        for seed in seeds(at_least=2):
            chance = chance_of(seed)
            calls = {attackers.join(host): set[int]() for host in HOSTS}
            for _ in range(CALLS):
                for client, begun in calls.items():
                    size_bytes = chance.randrange(len(MESSAGE))
                    begun.add(client.ask(MESSAGE[:size_bytes], stated_bytes=len(MESSAGE) + 1))
            wait_for(lambda: _under_way(gate) >= most - len(HOSTS), "them to begin")
            assert all(_is_served(gate) for _ in range(5)), f"seed {seed}"
            assert _open(calls) >= most - len(HOSTS) - 5, "no more were ended than had to be"
            for client in calls:
                client.socket.shutdown(2)
            wait_for(lambda: not _under_way(gate), "their places to be free")


def _open(calls: dict[RawClient, set[int]]) -> int:
    return sum(len(begun - client.ended) for client, begun in calls.items())


def test_questions_that_never_end(triton: FakeTriton) -> None:
    with gate_before(triton.address) as gate, crowd(gate.address) as attackers:
        for host in HOSTS:
            client = attackers.join(host)
            for _ in range(CLIENT_QUESTIONS_MOST):
                client.ask(b"", method="ServerLive", stated_bytes=9)
        with grpc.insecure_channel(gate.address) as channel:
            ask = channel.unary_unary(f"{SERVICE}ServerReady")
            assert all(ask(b"", timeout=30) for _ in range(5))


class _Large(FakeTriton):
    """Answers with 20 MB more than was asked for."""

    def _infer(self, question: Any, context: grpc.ServicerContext) -> Any:
        answer = super()._infer(question, context)
        answer.raw_output_contents.append(bytes(20_000_000))
        return answer


def _without_reading(attackers: Crowd) -> list[RawClient]:
    """Clients that together ask for twice as much as there are places, and take none of it."""
    clients = [attackers.join(f"127.0.0.{20 + each}", window_bytes=0) for each in range(8)]
    for client in clients:
        for _ in range(CALLS):
            client.ask(MESSAGE)
    return clients


def test_answers_that_are_never_read() -> None:
    """Two for each client are in memory, others are served, and the clients lose the connection."""
    within = {"service.TAKEN_S": 5.0, "service.TAKEN_LEAST_BYTES_PER_S": 1e9}
    unbounded = [("grpc.max_receive_message_length", -1)]
    with (
        _Large(ComputingTransport()) as triton,
        gate_before(triton.address, shortened=within) as gate,
        crowd(gate.address) as attackers,
        grpc.insecure_channel(gate.address, options=unbounded) as channel,
    ):
        ask = channel.unary_unary(f"{SERVICE}ModelInfer")
        assert ask(MESSAGE, timeout=60)
        clients = _without_reading(attackers)
        wait_for(lambda: _under_way(gate) > 3 * CALLS, "most of their requests to be under way")
        assert len(ask(MESSAGE, timeout=60)) > 20_000_000
        wait_for(lambda: not any(client.is_open for client in clients), "them to lose connections")
        assert not any(client.answered_bytes for client in clients)
        wait_for(lambda: not _under_way(gate), "their places to be free")
        assert len(ask(MESSAGE, timeout=60)) > 20_000_000
        # Two answers for each in Python, their copies in gRPC, and the program itself.
        assert _most_mb(gate) < 2 * 2 * (len(clients) + 1) * 20 + 150
    assert gate.process.stderr is not None
    assert "Traceback" not in "".join(gate.lines)


def test_connections_that_ask_nothing(triton: FakeTriton) -> None:
    """They make room for others; one with a request under way stays."""
    kept = 20
    let_go = threading.Event()

    def slow() -> Iterator[bytes]:
        let_go.wait(60)
        yield MESSAGE

    with (
        gate_before(triton.address, shortened={"connections.CONNECTIONS_KEPT": kept}) as gate,
        crowd(gate.address) as attackers,
        grpc.insecure_channel(gate.address) as channel,
    ):
        busy = channel.stream_stream(f"{SERVICE}ModelInfer")(slow(), timeout=60)
        wait_for(lambda: _under_way(gate) == 1, "a request to be under way")
        for number in range(5 * kept):
            attackers.join(HOSTS[number % len(HOSTS)])
        wait_for(lambda: _is_served(gate), "another client to be served")
        wait_for(lambda: len(attackers.clients) <= kept, "the idle ones to be ended")
        assert len(attackers.clients) >= kept - 3, "no more were ended than had to be"
        let_go.set()
        assert len(list(busy)) == 1
