"""What the watch takes for a fault, when it restarts, and when it gives a server up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines import watched
from smlm_pipeline.engines.health import Health
from smlm_pipeline.engines.processor_queue import Thread
from smlm_pipeline.engines.server_process import ServerProcess
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.watched import Watch, WatchedTransport
from smlm_pipeline.errors import (
    DeadModelError,
    InferenceError,
    ReconError,
    ServerError,
    ServerLostError,
    SwappedAnswerError,
    TransientServerError,
)

SERVERS = Servers((Address("127.0.0.1", 1),))
REQUEST = Request(
    "a chunk",
    np.zeros((1, 32, 32), np.uint16),
    np.ones((1, 2), np.float32),
    Window(8, 0, 0, 32, 32),
)
ANSWER = ChunkAnswer(SparseSums(np.zeros(0, np.int64), np.zeros(0, np.int64)), 1)


class Server:
    """A server whose state a test sets; each start makes it sound."""

    servers = SERVERS

    def __init__(self, *starts: ReconError | None) -> None:
        self._starts = list(starts)
        self.started = self.stopped = 0
        self.dead: str | None = None
        self.process = cast(ServerProcess, SimpleNamespace(fault=lambda: self.dead))

    def start(self, _unwanted: threading.Event) -> None:
        self.started += 1
        error = self._starts.pop(0) if self._starts else None
        if error is not None:
            raise error
        self.dead = None

    def stop(self) -> None:
        self.stopped += 1

    def discard(self) -> None:
        pass

    def log_tail(self) -> str:
        return "the end of its log"


class Scripted:
    """A transport that fails or answers as told; ``reconnect`` counts."""

    def __init__(self, *outcomes: ReconError | None) -> None:
        self._outcomes = list(outcomes)
        self.reconnected = 0

    def sum_chunk(self, _request: Request) -> ChunkAnswer:
        error = self._outcomes.pop(0)
        if error is not None:
            raise error
        return ANSWER

    def reconnect(self, _patience_s: float) -> bool:
        self.reconnected += 1
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_EVERY_S", 0.01)


def test_a_dead_server_is_replaced_and_its_client_told() -> None:
    server, lines = Server(), list[str]()
    with Watch(server, [], report=lines.append) as watch:
        server.dead = "the process of unet ended"
        transport = Scripted(TransientServerError("gone"), None)
        client = WatchedTransport(transport, watch)
        with pytest.raises(TransientServerError, match="gone"):
            client.sum_chunk(REQUEST)
        assert (server.started, watch.generation, transport.reconnected) == (2, 1, 1)
        assert client.sum_chunk(REQUEST) is ANSWER
    assert server.stopped == 1
    assert lines[0] == "the process of unet ended; restarting (1 of 5)"
    assert lines[1].startswith("restarted after ")


def test_a_server_that_dies_again_and_again_is_given_up() -> None:
    server = Server(None, ServerError("no room"), ServerError("no room"))
    with Watch(server, [], restarts_most=2, report=lambda _: None) as watch:
        server.dead = "tritonserver ended with status -9"
        with pytest.raises(ServerLostError, match=r"after 2 restarts .*no room.*its log"):
            watch.wait()
        with pytest.raises(ServerLostError):
            watch.settle(0)
    assert server.started == 3
    assert ServerLostError.exit_code == 10


def test_a_failure_of_a_sound_server_is_only_passed_on() -> None:
    server = Server()
    with Watch(server, []) as watch:
        transport = Scripted(TransientServerError("lost"))
        with pytest.raises(TransientServerError, match="lost"):
            WatchedTransport(transport, watch).sum_chunk(REQUEST)
    assert (server.started, watch.generation) == (1, 0)


def test_an_answer_after_the_death_of_a_model_may_be_that_of_another_chunk() -> None:
    server = Server()
    with Watch(server, []) as watch:
        client = WatchedTransport(Scripted(DeadModelError("died"), None), watch)
        with pytest.raises(DeadModelError, match="died"):
            client.sum_chunk(REQUEST)
        with pytest.raises(DeadModelError, match=r"a chunk: .* may be that to another request"):
            client.sum_chunk(REQUEST)


# --- health ---------------------------------------------------------------------------------


class Process:
    """Whose work and one thread a test sets."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.thread = Thread(is_runnable=False, waited_s=0.0, turns=1)

    def threads(self) -> dict[int, Thread]:
        return {1: self.thread}

    def fault(self) -> str | None:
        return None

    def work(self) -> tuple[float, int]:
        return self.cpu_s, 0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(s=100.0)
    monkeypatch.setattr("smlm_pipeline.engines.health.time.monotonic", lambda: clock.s)
    return clock


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """What a canary meets: ``outcome`` is raised, and ``answered`` ends its wait."""
    script = SimpleNamespace(outcome=None, answered=threading.Event())

    def ask(_transport: object) -> None:
        script.answered.wait(60)
        if script.outcome is not None:
            raise script.outcome

    monkeypatch.setattr("smlm_pipeline.engines.canary.ask", ask)
    yield script
    script.answered.set()


def _settled(looked: Health, *, doubted: bool = False) -> str | None:
    """Look until the canary is back."""
    fault = looked.fault(doubted=doubted)
    while fault is None and looked._canary is not None:
        time.sleep(0.005)
        fault = looked.fault(doubted=False)
    return fault


def test_a_server_without_work_that_does_not_answer_hangs(
    now: SimpleNamespace, asked: SimpleNamespace
) -> None:
    busy, idle = Process(), Process()
    of_busy, of_idle = (
        Health(cast(ServerProcess, each), SERVERS, ["reconstruction"]) for each in (busy, idle)
    )
    for _ in range(24):
        now.s += 0.5
        busy.cpu_s += 0.4
        assert of_busy.fault(doubted=True) is None
        fault = of_idle.fault(doubted=True)
        if fault:
            break
    assert fault == "no answer for 6 s, without any work"


def test_a_pause_of_the_watcher_is_no_silence(now: SimpleNamespace, asked: SimpleNamespace) -> None:
    """As that of a machine that was suspended."""
    looked = Health(cast(ServerProcess, Process()), SERVERS, ["reconstruction"])
    for step_s in (0.5, 0.5, 1.0, 1.0, 3600.0, 1.0, 1.0):
        now.s += step_s
        assert looked.fault(doubted=True) is None


@pytest.mark.parametrize("way", ["waits since", "ran a little"])
def test_a_server_that_gets_no_processor_does_not_hang(
    way: str, now: SimpleNamespace, asked: SimpleNamespace
) -> None:
    process = Process()
    looked = Health(cast(ServerProcess, process), SERVERS, ["reconstruction"])
    process.thread = Thread(is_runnable=way != "ran a little", waited_s=0.0, turns=1)
    for _ in range(240):
        now.s += 0.25
        if way == "ran a little":
            process.thread = replace(
                process.thread,
                waited_s=process.thread.waited_s + 0.2,
                turns=process.thread.turns + 1,
            )
        assert looked.fault(doubted=False) is None
    process.thread = Thread(is_runnable=False, waited_s=process.thread.waited_s, turns=1000)
    faults = []
    for _ in range(40):
        now.s += 0.25
        faults.append(looked.fault(doubted=False))
    first = next(number for number, fault in enumerate(faults) if fault)
    assert 4 <= first * 0.25 <= 7
    assert "without any work" in str(faults[first])


def test_what_canaries_tell(now: SimpleNamespace, asked: SimpleNamespace) -> None:
    asked.answered.set()
    looked = Health(cast(ServerProcess, Process()), SERVERS, ["reconstruction"])
    asked.outcome = InferenceError("a network of the user's")
    assert _settled(looked, doubted=True) is None  # it has never passed
    asked.outcome = None
    assert _settled(looked, doubted=True) is None
    assert looked.sound_s == now.s
    asked.outcome = InferenceError("0.00 emitters")
    assert _settled(looked, doubted=True) == "0.00 emitters"
    asked.outcome = DeadModelError("died")
    assert _settled(looked, doubted=True) == "died"
    asked.outcome = SwappedAnswerError("the answer to another request")
    assert _settled(looked, doubted=True) == "the answer to another request"
    asked.outcome = TransientServerError("connection refused")
    assert _settled(looked, doubted=True) is None
    now.s += 1.5
    looked.fault(doubted=False)
    for _ in range(4):
        now.s += 1.5
        last = _settled(looked, doubted=True)
    assert last == "connection refused"
