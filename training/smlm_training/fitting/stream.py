"""Batches through tf.data, made in the background while the network trains."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from itertools import chain
from types import TracebackType
from typing import Any

import tensorflow as tf

from smlm_training.fitting.datasets import Batch

Tensors = tuple[Any, ...]
"""The parts of a ``Batch``, in its order."""


class Stream:
    """An endless iterator over batches as tensors, which measures the time spent waiting for it.

    An error of the iterator of batches is raised unchanged by the ``next`` that would have
    returned the batch. Use it in a ``with`` statement: leaving it ends the background work.

    Parameters
    ----------
    made : iterator of Batch
        Batches of one shape, without end.
    ahead : int
        Most batches prepared in advance.
    """

    def __init__(self, made: Iterator[Batch], *, ahead: int) -> None:
        self.waited_s = 0.0
        self._errors: list[Exception] = []
        self._closed = False
        first = next(made)
        signature = tuple(tf.TensorSpec(part.shape, part.dtype) for part in first.parts)
        dataset = tf.data.Dataset.from_generator(
            lambda: self._parts_of(chain([first], made)), output_signature=signature
        )
        options = tf.data.Options()
        # The pool that the network's operations run in is left to them.
        options.threading.private_threadpool_size = 1
        options.autotune.enabled = False
        self._batches: Iterator[Tensors] | None = iter(
            dataset.prefetch(ahead).with_options(options)
        )

    def _parts_of(self, made: Iterator[Batch]) -> Generator[Tensors, None, None]:
        """Parts of the batches; keeps an error, of which tf.data reports only the text."""
        try:
            for batch in made:
                if self._closed:
                    return
                yield batch.parts
        except Exception as error:
            self._errors.append(error)
            raise

    def __iter__(self) -> Iterator[Tensors]:
        return self

    def __next__(self) -> Tensors:
        if self._batches is None:
            raise StopIteration
        started = time.perf_counter()
        try:
            return next(self._batches)
        except tf.errors.OpError as error:
            if self._errors:
                raise self._errors[0] from error
            raise
        finally:
            self.waited_s += time.perf_counter() - started

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._closed = True
        self._batches = None
