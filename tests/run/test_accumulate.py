"""Answers become the image: in any order, each once, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums, sparse
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run import chunking
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.sinks import Sinks

HEIGHT_PX, WIDTH_PX, ZOOM = 100, 72, 2
CHUNKS = chunking.plan(5, HEIGHT_PX, WIDTH_PX, chunk_frames=2, tile_px=64)


def _image(chunk: Chunk) -> NDArray[np.int32]:
    """A sum that no other chunk has."""
    shape = image_shape(ZOOM, chunk.tile.y.core_size, chunk.tile.x.core_size)
    rng = np.random.default_rng(chunk.index)
    return rng.integers(0, 2**31 - 1, shape, dtype=np.int32, endpoint=True)


def _answer(chunk: Chunk) -> ChunkAnswer:
    return ChunkAnswer(sparse(_image(chunk)), chunk.frame_count)


class _Sum(Sinks):
    """An accumulator as the only sink."""

    def __init__(self) -> None:
        self.accumulator = Accumulator(HEIGHT_PX, WIDTH_PX, zoom=ZOOM)
        super().__init__(self.accumulator)

    def image(self) -> NDArray[np.float32]:
        return self.accumulator.image().whole()


def _merged(order: list[Chunk]) -> _Sum:
    merged = _Sum()
    for chunk in order:
        merged.add(chunk, _answer(chunk))
    return merged


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(CHUNKS), repeated=st.lists(st.sampled_from(CHUNKS), max_size=9))
def test_neither_order_nor_repetition_shows(order: list[Chunk], repeated: list[Chunk]) -> None:
    merged = _merged([*repeated, *order, *repeated])
    assert len(merged.merged) == len(CHUNKS)
    np.testing.assert_array_equal(merged.image(), _merged(CHUNKS).image())


def test_adding_tells_whether_it_was_new() -> None:
    sinks = _Sum()
    chunk = CHUNKS[1]
    assert sinks.add(chunk, _answer(chunk)) is True
    assert sinks.add(chunk, _answer(chunk)) is False
    assert len(sinks.merged) == 1


def test_cores_and_their_margins_lie_where_they_belong() -> None:
    """What two tiles draw across their seam lands on one place of the image."""
    upper, lower = chunking.plan(1, 68, 16, chunk_frames=1, tile_px=64)
    seam = upper.tile.y.core_size * ZOOM
    accumulator = Accumulator(68, 16, zoom=ZOOM)
    for chunk, row in ((upper, seam), (lower, 0)):
        core = np.zeros_like(_image(chunk))
        core[row + contract.MARGIN_PX * ZOOM, 9] = contract.WEIGHT_ONE
        accumulator.add(chunk, ChunkAnswer(sparse(core), 1))
    image = accumulator.image().whole()
    assert image.shape == (68 * ZOOM, 16 * ZOOM)
    assert image[seam, 9 - contract.MARGIN_PX * ZOOM] == image.sum() == 2


def test_what_points_out_of_the_field_is_left_out() -> None:
    (chunk,) = chunking.plan(1, 16, 20, chunk_frames=1, tile_px=64)
    image = np.full((18 * ZOOM, 22 * ZOOM), contract.WEIGHT_ONE, np.int32)
    image[ZOOM:-ZOOM, ZOOM:-ZOOM] = 0
    image[ZOOM, ZOOM] = image[-ZOOM - 1, -ZOOM - 1] = contract.WEIGHT_ONE // 4
    accumulator = Accumulator(16, 20, zoom=ZOOM)
    accumulator.add(chunk, ChunkAnswer(sparse(image), 1))
    found = accumulator.image().whole()
    assert found.dtype == np.float32
    assert found.shape == (16 * ZOOM, 20 * ZOOM)
    assert found[0, 0] == found[-1, -1] == 0.25
    assert found.sum() == 0.5


def test_sums_go_beyond_the_range_of_a_chunk() -> None:
    chunks = chunking.plan(4, 16, 16, chunk_frames=1, tile_px=64)
    accumulator = Accumulator(16, 16, zoom=1)
    for chunk in chunks:
        full = sparse(np.full((18, 18), 2**31 - 1, np.int32))
        accumulator.add(chunk, ChunkAnswer(full, 1))
    assert (accumulator.image().whole() == np.float32(4 * (2**31 - 1) / 2**16)).all()


@pytest.mark.parametrize("beyond", [1, 2, 2**31])
def test_a_sum_outside_of_the_image_is_refused(beyond: int) -> None:
    """As of a larger tile, or of several precision classes."""
    chunk = CHUNKS[0]
    size = _image(chunk).size
    sums = SparseSums(np.array([3, size - 1 + beyond]), np.array([1, 1]))
    sinks = _Sum()
    words = f"chunk 0 came back with {size + beyond} SR pixels or more over .* expected {size} over"
    with pytest.raises(InferenceError, match=words):
        sinks.add(chunk, ChunkAnswer(sums, chunk.frame_count))
    assert len(sinks.merged) == 0
    assert sinks.whole
    assert not sinks.image().any()


def test_the_last_pixel_and_an_empty_sum_are_taken() -> None:
    sinks = _Sum()
    for chunk, places in zip(CHUNKS, ([_image(CHUNKS[0]).size - 1], []), strict=False):
        sums = SparseSums(np.array(places, np.int64), np.ones(len(places), np.int64))
        assert sinks.add(chunk, ChunkAnswer(sums, chunk.frame_count))
    assert len(sinks.merged) == 2


def test_a_place_may_come_in_several_entries() -> None:
    (chunk,) = chunking.plan(1, 16, 16, chunk_frames=1, tile_px=64)
    accumulator = Accumulator(16, 16, zoom=1)
    sums = SparseSums(np.array([19, 19, 19, 20]), np.array([1, 2, 4, 8]) << 16)
    accumulator.add(chunk, ChunkAnswer(sums, 1))
    assert accumulator.image().whole()[0, :2].tolist() == [7, 8]
    assert accumulator.image().emitters() == 15


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_sum_over_other_frames_is_refused(frames: int) -> None:
    chunk = CHUNKS[0]
    sinks = _Sum()
    with pytest.raises(InferenceError, match=f"over {frames} frames; expected .* over 2"):
        sinks.add(chunk, ChunkAnswer(sparse(_image(chunk)), frames))
    assert sinks.add(chunk, _answer(chunk))
    np.testing.assert_array_equal(sinks.image(), _merged([chunk]).image())


@given(
    st.integers(0, HEIGHT_PX * ZOOM - 1),
    st.integers(1, 90),
    st.lists(st.tuples(st.integers(0, HEIGHT_PX - 1), st.integers(0, WIDTH_PX - 1)), max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_nothing_is_drawn_in_blank_pixels(
    first: int, rows: int, blanked: list[tuple[int, int]]
) -> None:
    """Whichever rows are read; all other pixels keep their value."""
    accumulator = _merged(CHUNKS).accumulator
    blank = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    for y, x in blanked:
        blank[y : y + 9, x : x + 5] = True
    fine = np.kron(blank, np.ones((ZOOM, ZOOM), bool))
    image, whole = accumulator.image(blank), accumulator.image().whole()
    part = slice(first, first + rows)
    np.testing.assert_array_equal(image[part], np.where(fine, 0, whole)[part])


def test_emitters_in_blank_pixels_are_not_counted() -> None:
    accumulator = _merged(CHUNKS).accumulator
    blank = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    blank[:7] = blank[:, 40:] = True
    image = accumulator.image(blank)
    assert image.emitters() == pytest.approx(float(image.whole().sum(dtype=np.float64)), rel=1e-6)
    assert accumulator.image(np.ones_like(blank)).emitters() == 0
