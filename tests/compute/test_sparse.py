"""Sums without their zeros: the same after they have travelled, in few bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.sparse import SparseSums, decode, sparse
from smlm_pipeline.errors import ChunkError

FULL = 2**16 - 1
"""The largest step and the largest weight of an entry."""

ENTRIES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 3), st.integers(0, 2**20), st.sampled_from([FULL, FULL + 1])),
        st.one_of(
            st.integers(1, 2**20),
            st.sampled_from([FULL, FULL + 1, 2 * FULL, 2**31 - 1]),
        ),
    ),
    max_size=30,
)
"""Steps and sums, repeated places (a step of 0) among them."""


def _sums(entries: list[tuple[int, int]]) -> SparseSums:
    steps = np.array([step for step, _ in entries], np.int64)
    weights = np.array([weight for _, weight in entries], np.int64)
    return SparseSums(np.cumsum(steps), weights)


def _by_place(sums: SparseSums) -> dict[int, int]:
    """Sum of each place that has one."""
    totals: dict[int, int] = {}
    for place, weight in zip(sums.index.tolist(), sums.weight.tolist(), strict=True):
        totals[place] = totals.get(place, 0) + weight
    return {place: total for place, total in totals.items() if total}


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES)
def test_no_sum_and_no_place_changes_on_the_way(entries: list[tuple[int, int]]) -> None:
    sums = _sums(entries)
    step, weight = encode(sums)
    assert step.dtype == weight.dtype == np.uint16
    assert step.shape == weight.shape == (len(step),)
    read = decode(step, weight)
    assert _by_place(read) == _by_place(sums)
    assert read.end == sums.end
    assert (np.diff(read.index) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES)
def test_no_more_entries_than_needed(entries: list[tuple[int, int]]) -> None:
    """One each, one more for each 65535 of a sum, and one for each 65535 of a step."""
    step, _ = encode(_sums(entries))
    most = sum(max(-(-gap // FULL), 1) + -(-total // FULL) - 1 for gap, total in entries)
    assert len(step) <= most


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(1, 24),
    filled=st.floats(0, 1),
)
def test_an_image_is_the_same_after_its_zeros_were_left_out(
    shape: tuple[int, int, int], seed: int, bits: int, filled: float
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 2**bits, shape, endpoint=True, dtype=np.int32)
    image[rng.random(shape) >= filled] = 0
    sums = sparse(image)
    assert (sums.weight > 0).all()
    assert len(sums.index) == np.count_nonzero(image)
    np.testing.assert_array_equal(sums.dense(shape), image)
    np.testing.assert_array_equal(decode(*encode(sums)).dense(shape), image)


def test_the_entries_by_hand() -> None:
    sums = SparseSums(np.array([3, 3, 4, 200_000]), np.array([7, 70_000, FULL, 1]))
    step, weight = encode(sums)
    assert step.tolist() == [3, 0, 0, 1, FULL, FULL, FULL, 200_000 - 4 - 3 * FULL]
    assert weight.tolist() == [7, FULL, 70_000 - FULL, FULL, 0, 0, 0, 1]
    assert sums.end == 200_001


def test_an_empty_image() -> None:
    sums = sparse(np.zeros((2, 3), np.int32))
    step, weight = encode(sums)
    assert (step.shape, weight.shape, sums.end) == ((0,), (0,), 0)
    assert not decode(step, weight).dense((2, 3)).any()


def test_the_last_place_of_the_largest_image() -> None:
    last = contract.MAX_IMAGE_PIXELS - 1
    sums = SparseSums(np.array([last]), np.array([2**31 - 1]))
    read = decode(*encode(sums))
    assert _by_place(read) == {last: 2**31 - 1}
    assert read.end == contract.MAX_IMAGE_PIXELS


def test_an_entry_takes_four_bytes() -> None:
    image = np.zeros((512, 512), np.int32)
    image[::4, ::4] = contract.WEIGHT_ONE // 2
    tensors = encode(sparse(image))
    assert sum(tensor.nbytes for tensor in tensors) == 4 * 128 * 128


@pytest.mark.parametrize(
    ("step", "weight"),
    [
        (np.zeros(3, np.uint16), np.zeros(2, np.uint16)),
        (np.zeros((3, 1), np.uint16), np.zeros((3, 1), np.uint16)),
        (np.zeros(3, np.int16), np.zeros(3, np.uint16)),
        (np.zeros(3, np.uint16), np.zeros(3, np.float32)),
        (np.zeros(3, np.uint32), np.zeros(3, np.uint32)),
    ],
)
def test_what_is_not_two_lists_of_one_length_is_refused(
    step: NDArray[np.uint16], weight: NDArray[np.uint16]
) -> None:
    with pytest.raises(ChunkError, match="expected two lists of 16-bit numbers of one length"):
        decode(step, weight)
