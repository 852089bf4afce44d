"""A gate that is ended by SIGTERM: at once if it has nothing to do, else after its requests."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
import pytest

from fakes.gates import HeldEngine, RunningGate, code_of, gate_before
from fakes.processes import CLIENT, free_port, started, wait_for
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.gate.behind import FOLLOW_S


@pytest.fixture
def held() -> Iterator[HeldEngine]:
    held = HeldEngine()
    yield held
    held.let_go.set()


def test_sigterm_ends_the_gate_after_its_requests(held: HeldEngine) -> None:
    with (
        FakeTriton(held) as triton,
        gate_before(triton.address) as gate,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(code_of, gate.address)
        wait_for(lambda: held.asked == 1, "a request to be under way")
        gate.process.send_signal(signal.SIGTERM)
        # One that comes before the signal is noticed is let in, and held like the first.
        wait_for(lambda: code_of(gate.address, 1)[0] == "UNAVAILABLE", "the gate to close")
        assert gate.process.poll() is None
        held.let_go.set()
        assert under_way.result() == ("OK", "")
        assert gate.process.wait(timeout=30) == 0


def _end(gate: RunningGate) -> float:
    """The seconds that an orderly end takes."""
    begun_s = time.monotonic()
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(timeout=60) == 0
    return time.monotonic() - begun_s


@pytest.mark.parametrize("connections", [0, 4])
def test_an_idle_gate_ends_at_once(connections: int) -> None:
    with (
        FakeTriton(ComputingTransport()) as triton,
        gate_before(triton.address) as gate,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(connections):
            channel = stack.enter_context(grpc.insecure_channel(gate.address))
            grpc.channel_ready_future(channel).result(30)
        assert _end(gate) < 2


def test_a_gate_does_not_wait_for_a_server_that_does_not_answer() -> None:
    """It has asked this one at its start, and asks again."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        host, port = deaf.getsockname()
        with gate_before(f"{host}:{port}") as gate:
            time.sleep(FOLLOW_S + 1)
            assert _end(gate) < 2


def test_a_gate_that_has_no_answer_yet_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        host, port = deaf.getsockname()
        command = [*CLIENT, "gate", "--server", f"{host}:{port}"]
        command += ["--listen", f"127.0.0.1:{free_port()}"]
        deaf.settimeout(60)
        with started(command, stderr=subprocess.PIPE) as starting:
            asked, _ = deaf.accept()
            begun_s = time.monotonic()
            starting.send_signal(signal.SIGTERM)
            assert starting.wait(timeout=60) == 0
            assert time.monotonic() - begun_s < 2
            asked.close()


def test_requests_under_way_have_so_much_time(held: HeldEngine) -> None:
    with (
        FakeTriton(held) as triton,
        gate_before(triton.address, shortened={"run.DRAIN_S": 1.0}) as gate,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(code_of, gate.address)
        wait_for(lambda: held.asked == 1, "a request to be under way")
        assert 0.9 < _end(gate) < 4
        assert under_way.result()[0] in {"UNAVAILABLE", "CANCELLED"}
        held.let_go.set()
