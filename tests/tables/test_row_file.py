"""Runs of rows come back in the order of frames, however they were written and read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline.tables import row_file
from smlm_pipeline.tables.row_file import RowFile
from smlm_pipeline.tables.rows import PLACE, record_type

RECORD = record_type(PLACE)


def _file() -> RowFile:
    return RowFile(io.BytesIO(), RECORD, ("y_nm", "x_nm"))


def _run(rng: np.random.Generator, rows: int, first_frame: int, frames: int) -> NDArray[Any]:
    run = np.zeros(rows, RECORD)
    run["frame"] = np.sort(rng.integers(first_frame, first_frame + frames, rows))
    run["x_nm"], run["y_nm"] = rng.random((2, rows))
    return run


def _sorted(runs: list[NDArray[Any]]) -> NDArray[Any]:
    rows = np.concatenate(runs)
    return np.asarray(rows[np.lexsort([rows["x_nm"], rows["y_nm"], rows["frame"]])])


def _all(file: RowFile) -> NDArray[Any]:
    return np.concatenate([np.empty(0, RECORD), *file.in_order()])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    memory_rows=st.sampled_from([8, 64, 1 << 18]),
    sizes=st.lists(st.integers(0, 60), max_size=30),
)
def test_rows_come_in_order(seed: int, memory_rows: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    runs = [_run(rng, size, int(rng.integers(0, 30)), 7) for size in sizes]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(row_file, "MERGE_ROWS", memory_rows)
        patched.setattr(row_file, "_RUN_ROWS_MIN", 3)
        file = _file()
        for run in runs:
            file.add(run)
        found = _all(file)
    assert file.row_count == len(found) == sum(sizes)
    if sizes:
        np.testing.assert_array_equal(found, _sorted(runs))


@pytest.mark.parametrize("frames", [1, 50, 1 << 40])
@pytest.mark.parametrize(
    "places",
    [
        [0.0],
        [0.25, -3.0, 1e300, -1e300],
        [1.0, 1.0 + 2**-50, 1.0 + 2**-52, 900.0],  # closer than a sorted number tells
        [float("inf"), 2.0, float("nan"), 1.0],
        [0.0, 5e-324, 1e-310],
    ],
)
def test_any_places_and_frames(frames: int, places: list[float]) -> None:
    rng = np.random.default_rng(7)
    runs = [_run(rng, 300, 0, frames) for _ in range(3)]
    for run in runs:
        run["y_nm"], run["x_nm"] = rng.choice(places, (2, 300))
    file = _file()
    for run in runs:
        file.add(run)
    assert _all(file).tobytes() == _sorted(runs).tobytes()  # of NaN, too


def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a long film are as small as those of a short one."""
    monkeypatch.setattr(row_file, "MERGE_ROWS", 1000)
    rng, file = np.random.default_rng(3), _file()
    for first in range(0, 4000, 10):
        for _tile in range(4):
            file.add(_run(rng, 50, first, 10))
    sizes = [len(block) for block in file.in_order()]
    assert sum(sizes) == 80_000
    assert max(sizes) < 2000


def test_a_file_continues_where_its_checkpoint_was() -> None:
    rng, stream = np.random.default_rng(5), io.BytesIO()
    kept, lost, after = (_run(rng, 30, first, 5) for first in (4, 2, 0))
    first = RowFile(stream, RECORD, ("y_nm", "x_nm"))
    first.add(kept)
    first.flush()
    runs, checksum = first.runs, first.checksum
    first.add(lost)  # after the checkpoint, before the program was killed
    first.flush()
    second = RowFile(stream, RECORD, ("y_nm", "x_nm"))
    second.restore(runs, checksum)
    second.add(after)
    np.testing.assert_array_equal(_all(second), _sorted([kept, after]))


def test_lost_and_changed_rows_are_noticed() -> None:
    rng, stream = np.random.default_rng(6), io.BytesIO()
    file = RowFile(stream, RECORD, ("y_nm", "x_nm"))
    file.add(_run(rng, 30, 0, 5))
    file.flush()
    stream.seek(100)
    stream.write(b"\xff")
    with pytest.raises(ValueError, match="rows have changed"):
        RowFile(stream, RECORD, ("y_nm", "x_nm")).restore(file.runs, file.checksum)
    stream.truncate(500)
    with pytest.raises(ValueError, match="rows are missing"):
        RowFile(stream, RECORD, ("y_nm", "x_nm")).restore(file.runs, file.checksum)
