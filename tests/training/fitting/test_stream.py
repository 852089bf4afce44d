"""Batches through tf.data: in order, ahead of time, with errors as they are."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from fakes.processes import PATIENCE_S, wait_for
from smlm_training.fitting.datasets import Batch
from smlm_training.fitting.stream import Stream

pytestmark = pytest.mark.training


def _batch(number: int, places: int = 3) -> Batch:
    normalized = np.full((2, 4, 4, 1), number, np.float32)
    position_px = np.full((2, places, 2), number + 0.25, np.float32)
    present, intensity = (np.full((2, places), number + part, np.float32) for part in (0.5, 0.75))
    return Batch(normalized, position_px, present, intensity)


def _numbered(taken: list[int] | None = None) -> Iterator[Batch]:
    for number in itertools.count():
        if taken is not None:
            taken.append(number)
        yield _batch(number)


def test_batches_come_in_order_as_they_were_made() -> None:
    with Stream(_numbered(), ahead=4) as stream:
        for number in range(20):
            for part, array in zip(next(stream), _batch(number).parts, strict=True):
                np.testing.assert_array_equal(part.numpy(), array)
                assert part.dtype.as_numpy_dtype is np.float32


def test_batches_are_made_ahead_but_not_without_end() -> None:
    taken: list[int] = []
    with Stream(_numbered(taken), ahead=4) as stream:
        next(stream)
        wait_for(lambda: len(taken) >= 5, "batches to be made ahead")
        time.sleep(0.2)  # for more of them, were there no limit
        assert len(taken) <= 8
    made = len(taken)
    time.sleep(0.2)
    assert len(taken) <= made + 1


@pytest.mark.parametrize("error", [ArithmeticError("no film"), MemoryError("no room")])
def test_an_error_is_raised_as_it_is_when_its_batch_is_due(error: Exception) -> None:
    def failing() -> Iterator[Batch]:
        yield from (_batch(0), _batch(1))
        raise error

    started_s = time.monotonic()
    with Stream(failing(), ahead=4) as stream:
        assert [float(next(stream)[0][0, 0, 0, 0]) for _ in range(2)] == [0, 1]
        with pytest.raises(type(error), match=str(error)):
            next(stream)
    assert time.monotonic() - started_s < PATIENCE_S


def test_an_error_before_the_first_batch_is_raised_at_once() -> None:
    def failing() -> Iterator[Batch]:
        raise ArithmeticError("no film at all")
        yield _batch(0)

    with pytest.raises(ArithmeticError, match="no film at all"):
        Stream(failing(), ahead=4)


def test_batches_of_another_shape_are_an_error() -> None:
    with Stream(iter([_batch(0), _batch(1, places=4)]), ahead=4) as stream:
        next(stream)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"element of shape \(2, 4, 2\)"):
            next(stream)


class _Clock:
    """Advances with each batch that is made, and starts making it when it is asked the time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due = threading.Semaphore(0)
        self._calls = 0

    def __call__(self) -> float:
        now_s = self.now_s
        self._calls += 1
        if self._calls > 2 and self._calls % 2:  # at the start of each wait but the first
            self.due.release()
        return now_s


def test_the_time_waited_is_that_of_slow_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr(time, "perf_counter", clock)

    def slow() -> Iterator[Batch]:
        batches = _numbered()
        yield next(batches)
        for batch in batches:
            clock.due.acquire()
            clock.now_s += 0.1
            yield batch

    with Stream(slow(), ahead=2) as stream:
        next(stream)
        before_s = stream.waited_s
        for _ in range(5):
            next(stream)
        assert stream.waited_s - before_s == pytest.approx(0.5)
        clock.due.release(10)


def test_there_is_no_wait_for_what_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    last = threading.Event()
    monkeypatch.setattr(time, "perf_counter", lambda: float(len(taken)))

    def few() -> Iterator[Batch]:
        yield from itertools.islice(_numbered(taken), 6)
        last.wait()
        yield from _numbered()

    with Stream(few(), ahead=8) as stream:
        next(stream)
        wait_for(lambda: len(taken) == 6, "the batches to be made")
        before_s = stream.waited_s
        next(stream)
        assert stream.waited_s == before_s
        last.set()
