"""Plans of parts, and molecules that travel in them."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.films import ArrayFilm, spots_adu
from smlm_pipeline.film.part_asked import PartAsked
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.settings import Settings
from smlm_pipeline.tables.row_file import RowFile

RECORD = np.dtype([("frame", "<i4"), ("x_px", "<f8")])


@given(
    frame_count=st.integers(2, 60),
    chunk_frames=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    halves=st.booleans(),
)
def test_parts_share_the_chunks_wherever_they_meet(
    frame_count: int, chunk_frames: int, cuts: list[int], halves: bool
) -> None:
    film = ArrayFilm(np.zeros((frame_count, 68, 40), np.uint16))
    settings = Settings(chunk_frames=chunk_frames, tile_px=64, resolution=halves)
    whole = plan_run(film, settings, 1 << 32)
    ends = sorted({0, frame_count, *(cut for cut in cuts if cut < frame_count)})
    parts = [whole.of_part(range(*pair)) for pair in itertools.pairwise(ends)]
    assert [chunk for part in parts for chunk in part.chunks] == [*whole.chunks]
    assert [part.first_request for part in parts] == [
        sum(len(before.chunks) for before in parts[:number]) for number in range(len(parts))
    ]
    assert {part.half_frames for part in parts} == {whole.half_frames}
    assert whole.of_part(None) is whole


@given(frame_count=st.integers(1, 1000), count=st.integers(1, 40))
def test_shares_are_equal_and_leave_no_frame_out(frame_count: int, count: int) -> None:
    path = Path("p.npz")
    shares = [PartAsked.parse(path, f"{i}/{count}").of(frame_count) for i in range(count)]
    assert [frame for share in shares for frame in share] == [*range(frame_count)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_rows_travel_from_one_file_to_another() -> None:
    one, two = (RowFile(io.BytesIO(), RECORD, ("x_px",)) for _ in range(2))
    rng = np.random.default_rng(3)
    for first in (40, 0, 20):
        rows = np.zeros(30, RECORD)
        rows["frame"], rows["x_px"] = np.sort(rng.integers(first, first + 25, 30)), rng.random(30)
        one.add(rows)
    moved = io.BytesIO()
    one.copy_to(moved)
    moved.seek(0)
    for count in one.runs[:, 1].tolist():
        two.add_from(moved, count)
    assert np.array_equal(np.concatenate([*one.in_order()]), np.concatenate([*two.in_order()]))
    assert (two.row_count, two.checksum) == (one.row_count, one.checksum)
    with pytest.raises(ValueError, match="rows are missing"):
        two.add_from(moved, 1)


def test_a_sum_of_a_part_is_that_of_its_frames() -> None:
    frames_adu = spots_adu(4, 24, 24)
    assert PartAsked(Path("p.npz"), (1, None)).of(len(frames_adu)) == range(1, 4)
