"""Sending chunks: bounded, repeated where that may help, and stopped at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Iterator

import numpy as np
import pytest

from fakes.transports import ScriptedTransport
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import (
    FilmError,
    InferenceError,
    ReconError,
    ServerFullError,
    TransientServerError,
)
from smlm_pipeline.run import chunking, dispatch
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.concurrency import ConcurrencyLimit

PATIENCE_S = 30.0
"""For what happens at once, unless it never happens."""


@pytest.fixture(autouse=True)
def pauses_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Longest length of each pause that is made; all are as short as can be."""
    longest: list[float] = []

    def uniform(low: float, high: float) -> float:
        longest.append(high)
        return low

    monkeypatch.setattr(dispatch, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(random, "uniform", uniform)
    return longest


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), f"{thread.name} still runs"


def _chunks(count: int) -> list[Chunk]:
    return chunking.plan(count, 16, 16, chunk_frames=1, tile_px=64)


def _request(chunk: Chunk) -> Request:
    return Request(
        label=str(chunk.index),
        frames_adu=np.zeros((chunk.frame_count, 16, 16), np.uint16),
        levels_adu=np.ones((chunk.frame_count, 2), np.float32),
        window=Window(1, 0, 0, 16, 16),
    )


def _end(_chunk: Chunk, error: ReconError) -> None:
    raise error


def _run(
    transport: ScriptedTransport,
    chunks: int = 1,
    *,
    prepare: Callable[[Chunk], Request] = _request,
    in_flight: int = 2,
    attempts: int = 3,
    failed: Callable[[Chunk, ReconError], None] = _end,
) -> Generator[tuple[Chunk, ChunkAnswer], None, None]:
    limit = ConcurrencyLimit(in_flight, in_flight)
    return dispatch.run(_chunks(chunks), prepare, transport, limit, attempts, failed)


def _lost(count: int) -> list[TransientServerError]:
    return [TransientServerError(f"no answer {index}") for index in range(count)]


@pytest.mark.parametrize("in_flight", [1, 2, 5, 40])
def test_every_chunk_is_answered_once(in_flight: int) -> None:
    transport = ScriptedTransport()
    answered = [chunk.index for chunk, _ in _run(transport, 23, in_flight=in_flight)]
    assert sorted(answered) == list(range(23))
    assert dict(transport.attempts) == {str(index): 1 for index in range(23)}


def test_no_chunks_make_no_requests() -> None:
    assert list(_run(ScriptedTransport(), 0)) == []


def test_a_chunk_comes_with_its_own_sum() -> None:
    chunks = chunking.plan(20, 16, 16, chunk_frames=3, tile_px=64)
    transport = ScriptedTransport({"2": _lost(1)})
    answers = dispatch.run(chunks, _request, transport, ConcurrencyLimit(3, 3), 2, _end)
    assert {chunk.index: answer.frame_count for chunk, answer in answers} == {
        chunk.index: chunk.frame_count for chunk in chunks
    }


@pytest.mark.parametrize("in_flight", [1, 3])
def test_no_more_are_prepared_than_may_be_under_way(in_flight: int) -> None:
    """So memory does not grow with the film, however slow the server is."""
    transport = ScriptedTransport()
    under_way: list[int] = []

    def prepare(chunk: Chunk) -> Request:
        under_way.append(chunk.index + 1 - transport.answered)
        return _request(chunk)

    assert len(list(_run(transport, 30, prepare=prepare, in_flight=in_flight))) == 30
    assert len(under_way) == 30
    assert max(under_way) <= in_flight


def test_as_many_are_under_way_as_may_be() -> None:
    together = threading.Barrier(3, timeout=PATIENCE_S)

    def meet(_label: str) -> None:
        together.wait()

    transport = ScriptedTransport(before=meet)
    assert len(list(_run(transport, 9, in_flight=3))) == 9


def test_what_may_pass_later_is_sent_again_after_growing_pauses(pauses_s: list[float]) -> None:
    transport = ScriptedTransport({"0": _lost(4)})
    (answered,) = _run(transport, attempts=5)
    assert answered[0].index == 0
    assert transport.attempts["0"] == 5
    assert pauses_s == [0.001, 0.002, 0.004, 0.008]


@pytest.mark.parametrize(("attempts", "told"), [(1, "once"), (2, "2 times"), (4, "4 times")])
def test_a_chunk_is_given_up_after_its_attempts(attempts: int, told: str) -> None:
    transport = ScriptedTransport({"0": _lost(9)})
    said = rf"no answer {attempts - 1} \(sent {told}; .* --attempts\)"
    with pytest.raises(TransientServerError, match=said):
        list(_run(transport, attempts=attempts))
    assert transport.attempts["0"] == attempts


def test_refusals_of_a_full_server_are_no_attempts(pauses_s: list[float]) -> None:
    full = [ServerFullError("full")] * 20
    transport = ScriptedTransport({"0": full})
    assert len(list(_run(transport, attempts=1))) == 1
    assert transport.attempts["0"] == 21
    assert len(pauses_s) == 20


def test_a_server_that_stays_full_is_given_up(
    pauses_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "FULL_PATIENCE_S", 0.0)
    transport = ScriptedTransport({"0": [ServerFullError("full")] * 20})
    with pytest.raises(TransientServerError, match=r"full \(sent 3 times"):
        list(_run(transport, attempts=3))
    assert len(pauses_s) == 2


def test_no_attempt_at_all_is_refused() -> None:
    with pytest.raises(ReconError, match="attempts is 0; expected at least one"):
        list(_run(ScriptedTransport(), attempts=0))


@pytest.mark.parametrize("error", [InferenceError("refused"), ZeroDivisionError("refused")])
def test_other_errors_are_not_tried_again(error: Exception, pauses_s: list[float]) -> None:
    transport = ScriptedTransport({"0": [error]})
    with pytest.raises(type(error), match="refused"):
        list(_run(transport))
    assert transport.attempts["0"] == 1
    assert pauses_s == []


def test_the_first_failure_ends_the_run() -> None:
    transport = ScriptedTransport({"4": [InferenceError("refused")]})
    with pytest.raises(InferenceError, match="refused"):
        list(_run(transport, 100, in_flight=1))
    assert list(transport.attempts) == ["0", "1", "2", "3", "4"]


def test_a_failure_is_not_kept_waiting_by_what_is_under_way() -> None:
    begun, ended = threading.Event(), threading.Event()

    def linger(label: str) -> None:
        if label == "1":
            begun.set()
            ended.wait(PATIENCE_S)
        else:
            begun.wait(PATIENCE_S)

    transport = ScriptedTransport({"0": [InferenceError("refused")]}, before=linger)
    with pytest.raises(InferenceError, match="refused"):
        list(_run(transport, 2))
    assert transport.attempts == {"0": 1, "1": 1}
    assert transport.answered == 0
    ended.set()


def test_leaving_early_stops_submission() -> None:
    transport = ScriptedTransport()
    prepared: list[int] = []

    def prepare(chunk: Chunk) -> Request:
        prepared.append(chunk.index)
        return _request(chunk)

    answers = _run(transport, 100, prepare=prepare, in_flight=3)
    next(answers)
    answers.close()
    assert prepared == [0, 1, 2]
    assert set(transport.attempts) <= {"0", "1", "2"}


def test_leaving_ends_a_pause_and_sends_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    pausing = threading.Event()

    def long_pause(_low: float, _high: float) -> float:
        pausing.set()
        return PATIENCE_S

    monkeypatch.setattr(random, "uniform", long_pause)
    transport = ScriptedTransport({"0": _lost(9)})
    answers = _run(transport, 2)
    next(answers)
    assert pausing.wait(PATIENCE_S)
    answers.close()
    for thread in threading.enumerate():
        if thread.name.startswith("chunk"):
            thread.join(PATIENCE_S)
    assert transport.attempts["0"] == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt("by hand"), FilmError("cut short")])
def test_what_preparing_raises_ends_the_run(error: BaseException) -> None:
    transport = ScriptedTransport()

    def prepare(chunk: Chunk) -> Request:
        if chunk.index == 5:
            raise error
        return _request(chunk)

    with pytest.raises(type(error), match=str(error)):
        list(_run(transport, 100, prepare=prepare))
    assert set(transport.attempts) <= {str(index) for index in range(5)}


def test_what_fails_for_good_may_be_left_out() -> None:
    """Whether it cannot be read or is not answered; all others are asked for."""
    refused = InferenceError("not this one")

    def prepare(chunk: Chunk) -> Request:
        if chunk.index == 3:
            raise FilmError("damaged")
        return _request(chunk)

    left_out: dict[int, str] = {}
    transport = ScriptedTransport({"5": [refused], "6": _lost(2)})
    answered = [
        chunk.index
        for chunk, _ in _run(
            transport,
            9,
            prepare=prepare,
            failed=lambda chunk, error: left_out.update({chunk.index: str(error)}),
        )
    ]
    assert sorted(answered) == [0, 1, 2, 4, 6, 7, 8]
    assert left_out == {3: "damaged", 5: "not this one"}
