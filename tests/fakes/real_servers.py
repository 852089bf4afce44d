"""Real servers that live for one test, and the ways in which they go away under their clients."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.processes import PATIENCE_S, children, started, wait_for
from smlm_pipeline import contract
from smlm_pipeline.engines import fleet
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton.transport import TritonTransport


@contextlib.contextmanager
def short_lived(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A server that is killed at the end: an orderly stop takes three seconds."""
    with server:
        try:
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                kill(server)


def kill(server: EmbeddedServer) -> None:
    """``kill -9``, of its Python models too: nothing of it answers any more."""
    os.killpg(server.pid, signal.SIGKILL)


def drain(server: EmbeddedServer) -> None:
    """SIGTERM; returns when the server has begun to stop."""
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not fleet.is_ready(server.servers), "the server to begin to stop")


def kill_stub(model: str, server: EmbeddedServer) -> None:
    """``kill -9`` of the process in which a Python model runs; the server stays."""
    os.kill(stub_of(model, server), signal.SIGKILL)


def stall_stub(model: str, server: EmbeddedServer, for_s: float = 1.5) -> None:
    """Stop the process of a Python model for a while, as a debugger or swapping does."""
    stub = stub_of(model, server)
    os.kill(stub, signal.SIGSTOP)
    time.sleep(for_s)
    with contextlib.suppress(ProcessLookupError):  # the server may have been replaced
        os.kill(stub, signal.SIGCONT)


def hang(server: EmbeddedServer) -> None:
    """Stop the server and its stubs: they live, and do not answer."""
    os.killpg(server.pid, signal.SIGSTOP)


_LOOP = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
until_s = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until_s:
    sum(range(10_000))
"""


@contextlib.contextmanager
def starved(server: EmbeddedServer, *, for_s: float = 60.0) -> Iterator[None]:
    """Let the server share one processor with loops that hardly leave it any, for a block.

    They end with the block, and by themselves after a while.
    """
    processor = max(os.sched_getaffinity(0))
    for pid in (server.pid, *children(server.pid)):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), {processor})
                os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
    loop = [sys.executable, "-c", _LOOP, str(processor), str(for_s)]
    with contextlib.ExitStack() as loops:
        for _ in range(6):
            loops.enter_context(started(loop))
        yield


def hold_a_request(monkeypatch: pytest.MonkeyPatch, until: threading.Event) -> None:
    """Send the twentieth request of clients in this process after an event: no film ends before."""
    numbers, sum_chunk = itertools.count(), TritonTransport.sum_chunk

    def held(self: TritonTransport, request: Request) -> ChunkAnswer:
        if next(numbers) == 20:
            assert until.wait(PATIENCE_S)
        return sum_chunk(self, request)

    monkeypatch.setattr(TritonTransport, "sum_chunk", held)


def stub_of(model: str, server: EmbeddedServer) -> int:
    """The process in which a Python model runs."""
    file = f"/{model}/1/model.py".encode()
    for child in children(server.pid):
        if file in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError(f"the server has no process for {model}")


def answered(server: EmbeddedServer) -> int:
    """Requests that its ensemble has answered, by its own count."""
    return counted(server.metrics_url, "nv_inference_request_success", contract.RECONSTRUCTION.name)


def counted(metrics_url: str, metric: str, model: str, *, expected: int = 0) -> int:
    """One of a server's counters for a model, summed over its versions.

    Triton counts a request after its answer was sent, so an expected number is waited for.
    """
    prefix = f'{metric}{{model="{model}"'
    until_s = time.monotonic() + 10
    while True:
        with urllib.request.urlopen(metrics_url, timeout=60) as answer:  # noqa: S310 - loopback
            lines = answer.read().decode().splitlines()
        found = sum(int(float(each.rsplit(" ", 1)[1])) for each in lines if each.startswith(prefix))
        if found >= expected or time.monotonic() > until_s:
            return found
        time.sleep(0.05)
