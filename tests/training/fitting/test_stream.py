"""Batches through tf.data: in order, ahead of time, with errors as they are."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from smlm_training.fitting.datasets import Batch
from smlm_training.fitting.stream import Stream

pytestmark = pytest.mark.training


def _batch(number: int, places: int = 3) -> Batch:
    normalized = np.full((2, 4, 4, 1), number, np.float32)
    position_px = np.full((2, places, 2), number + 0.25, np.float32)
    return Batch(normalized, position_px, np.full((2, places), number + 0.5, np.float32))


def _numbered(taken: list[int] | None = None) -> Iterator[Batch]:
    for number in itertools.count():
        if taken is not None:
            taken.append(number)
        yield _batch(number)


def test_batches_come_in_order_as_they_were_made() -> None:
    with Stream(_numbered(), ahead=4) as stream:
        for number in range(20):
            batch = _batch(number)
            expected = (batch.normalized, batch.position_px, batch.present)
            for part, array in zip(next(stream), expected, strict=True):
                np.testing.assert_array_equal(part.numpy(), array)
                assert part.dtype.as_numpy_dtype is np.float32


def test_batches_are_made_ahead_but_not_without_end() -> None:
    taken: list[int] = []
    with Stream(_numbered(taken), ahead=4) as stream:
        next(stream)
        time.sleep(0.5)
        assert 5 <= len(taken) <= 8
    made = len(taken)
    time.sleep(0.2)
    assert len(taken) <= made + 1


@pytest.mark.parametrize("error", [ArithmeticError("no film"), MemoryError("no room")])
def test_an_error_is_raised_as_it_is_when_its_batch_is_due(error: Exception) -> None:
    def failing() -> Iterator[Batch]:
        yield from (_batch(0), _batch(1))
        raise error

    started = time.monotonic()
    with Stream(failing(), ahead=4) as stream:
        assert [float(next(stream)[0][0, 0, 0, 0]) for _ in range(2)] == [0, 1]
        with pytest.raises(type(error), match=str(error)):
            next(stream)
    assert time.monotonic() - started < 30


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


def test_the_time_waited_is_that_of_slow_batches() -> None:
    def slow() -> Iterator[Batch]:
        for batch in _numbered():
            time.sleep(0.1)
            yield batch

    with Stream(slow(), ahead=2) as stream:
        next(stream)
        before_s = stream.waited_s
        for _ in range(5):
            next(stream)
        assert 0.3 < stream.waited_s - before_s < 5


def test_there_is_no_wait_for_what_is_ready() -> None:
    with Stream(_numbered(), ahead=8) as stream:
        next(stream)
        time.sleep(0.3)
        before_s = stream.waited_s
        time.sleep(0.3)
        next(stream)
        assert stream.waited_s - before_s < 0.2
