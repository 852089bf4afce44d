"""The sum in a file is the sum in memory, leaves nothing behind and tells a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from smlm_pipeline.compute.sparse import SparseSums, sparse
from smlm_pipeline.errors import OutputError
from smlm_pipeline.run import canvas
from smlm_pipeline.run.canvas import Canvas, FileCanvas

SHAPE = (300, 700)


@pytest.mark.parametrize("mapped_bytes", [1, 700 * 8 * 7, 1 << 25])
@pytest.mark.parametrize("share", [0, 0.5, 0.99, 1])
def test_a_file_sums_as_memory_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped_bytes: int, share: float
) -> None:
    monkeypatch.setattr(canvas, "_MAPPED_BYTES", mapped_bytes)
    random = np.random.default_rng(1)
    expected = np.zeros(SHAPE, np.int64)
    with Canvas(SHAPE) as memory, FileCanvas(SHAPE, tmp_path) as file:
        for top, left in ((0, 0), (100, 300), (250, 650), (100, 0)):
            image = random.integers(0, 1 << 31, (50, 50), dtype=np.int32)
            image[random.random((50, 50)) < share] = 0
            memory.add(top, left, 50, sparse(image))
            file.add(top, left, 50, sparse(image))
            expected[top : top + 50, left : left + 50] += image
        image = random.integers(0, 1 << 31, (50, SHAPE[1]), dtype=np.int32)
        for canvas_ in (memory, file):  # rows without gaps
            canvas_.add(250, 0, SHAPE[1], sparse(image))
        expected[250:] += image
        np.testing.assert_array_equal(memory.rows(0, 300), expected)
        for first, last in ((0, 300), (99, 151), (299, 300)):
            np.testing.assert_array_equal(file.rows(first, last), memory.rows(first, last))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    told = "takes 2.0 GiB in .*failed: the disk is full; free space, raise --memory"
    with pytest.raises(OutputError, match=told):
        FileCanvas((16384, 16384), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_room_cannot_be_asked_for_zeros_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with FileCanvas(SHAPE, tmp_path) as file:
        assert not file.rows(0, 300).any()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        FileCanvas(SHAPE, tmp_path / "no")


def test_a_place_may_come_in_several_entries(tmp_path: Path) -> None:
    sums = SparseSums(np.array([1, 1, 52, 52, 99]), np.array([3, 4, 5, 6, 0]))
    with Canvas(SHAPE) as memory, FileCanvas(SHAPE, tmp_path) as file:
        for each in (memory, file):
            each.add(10, 20, 50, sums)
            assert each.rows(10, 12)[[0, 1], [21, 22]].tolist() == [7, 11]
            assert each.rows(0, 300).sum() == 18
