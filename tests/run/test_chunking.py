"""Plans: every pixel of every frame counted once, and read with its surroundings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smlm_pipeline import contract
from smlm_pipeline.compute.window import Window
from smlm_pipeline.run import chunking
from smlm_pipeline.run.chunking import Chunk, Span

TILES_PX = st.integers(16, 40).map(lambda count: count * contract.SIZE_MULTIPLE_PX)
SIZES_PX = st.integers(1, 230)


def _spans(chunks: list[Chunk]) -> set[tuple[Span, str]]:
    """All axes of all tiles."""
    return {(each.tile.y, "y") for each in chunks} | {(each.tile.x, "x") for each in chunks}


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 9),
    height_px=SIZES_PX,
    width_px=SIZES_PX,
    chunk_frames=st.integers(1, 10),
    tile_px=TILES_PX,
)
def test_every_pixel_of_every_frame_is_in_one_core(
    frames: int, height_px: int, width_px: int, chunk_frames: int, tile_px: int
) -> None:
    chunks = chunking.plan(frames, height_px, width_px, chunk_frames=chunk_frames, tile_px=tile_px)
    counted = np.zeros((frames, height_px, width_px), np.int64)
    for chunk in chunks:
        y, x = chunk.tile.y, chunk.tile.x
        assert 1 <= chunk.frame_count <= chunk_frames
        assert min(y.core_start, x.core_start) >= 0
        assert min(y.core_size, x.core_size) >= 1
        counted[
            chunk.first_frame : chunk.last_frame,
            y.core_start : y.core_start + y.core_size,
            x.core_start : x.core_start + x.core_size,
        ] += 1
    assert counted.min() == counted.max() == 1
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))


@settings(max_examples=100, deadline=None)
@given(height_px=st.integers(1, 2100), width_px=SIZES_PX, tile_px=TILES_PX)
def test_cores_are_read_with_their_surroundings(
    height_px: int, width_px: int, tile_px: int
) -> None:
    chunks = chunking.plan(1, height_px, width_px, chunk_frames=1, tile_px=tile_px)
    multiple = contract.SIZE_MULTIPLE_PX
    for span, axis in _spans(chunks):
        size_px = height_px if axis == "y" else width_px
        core_end, read_end = span.core_start + span.core_size, span.read_start + span.read_size
        assert span.read_start % multiple == span.read_size % multiple == 0
        assert 0 <= span.read_start <= span.core_start < core_end <= min(read_end, size_px)
        assert span.read_size <= tile_px
        assert size_px < contract.MIN_FRAME_PX or span.read_size >= contract.MIN_FRAME_PX
        assert read_end < size_px + multiple  # no more is filled up than has to be
        assert span.core_start == 0 or span.core_start - span.read_start >= contract.HALO_PX
        assert core_end == size_px or read_end - core_end >= contract.HALO_PX


@pytest.mark.parametrize(
    ("size_px", "tile_px", "spans"),
    [
        (64, 64, [Span(0, 64, 0, 64)]),
        (61, 64, [Span(0, 64, 0, 61)]),
        (16, 512, [Span(0, 16, 0, 16)]),
        (68, 64, [Span(0, 64, 0, 28), Span(4, 64, 28, 40)]),
        (
            286,
            128,
            [Span(0, 128, 0, 104), Span(80, 128, 104, 80), Span(160, 128, 184, 102)],
        ),
    ],
)
def test_spans_by_hand(size_px: int, tile_px: int, spans: list[Span]) -> None:
    chunks = chunking.plan(1, size_px, 16, chunk_frames=1, tile_px=tile_px)
    assert [chunk.tile.y for chunk in chunks] == spans
    assert {chunk.tile.x for chunk in chunks} == {Span(0, 16, 0, 16)}


def test_a_large_field_takes_the_largest_tiles() -> None:
    chunks = chunking.plan(10, 2048, 2048, chunk_frames=32, tile_px=512)
    assert len(chunks) == 25
    assert {(c.tile.y.read_size, c.tile.x.read_size) for c in chunks} == {(512, 512)}


def test_chunks_go_frame_range_by_frame_range() -> None:
    chunks = chunking.plan(5, 16, 68, chunk_frames=2, tile_px=64)
    ranges = [(chunk.first_frame, chunk.last_frame) for chunk in chunks]
    assert ranges == [(0, 2), (0, 2), (2, 4), (2, 4), (4, 5), (4, 5)]
    assert [chunk.frame_count for chunk in chunks] == [2, 2, 2, 2, 1, 1]
    assert [chunk.tile.x.core_start for chunk in chunks] == [0, 28] * 3


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 300), part_frames=st.integers(1, 80), chunk_frames=st.integers(1, 80))
def test_no_chunk_is_in_two_parts(frames: int, part_frames: int, chunk_frames: int) -> None:
    chunks = chunking.plan(
        frames, 16, 16, chunk_frames=chunk_frames, tile_px=64, part_frames=part_frames
    )
    ends = [0, *(chunk.last_frame for chunk in chunks)]
    assert [chunk.first_frame for chunk in chunks] == ends[:-1]
    assert ends[-1] == frames
    assert max(chunk.frame_count for chunk in chunks) <= chunk_frames
    for chunk in chunks:
        assert chunk.first_frame // part_frames == (chunk.last_frame - 1) // part_frames


def test_window_is_the_core_within_the_read_region() -> None:
    tile = chunking.plan(1, 68, 286, chunk_frames=1, tile_px=128)[1].tile
    assert tile.window(8) == Window(8, 0, 24, 68, 80)


def test_no_frames_make_no_chunks() -> None:
    assert chunking.plan(0, 64, 64, chunk_frames=8, tile_px=64) == []
