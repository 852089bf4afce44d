"""The file of a checkpoint: whatever happened to it, it is read as it was written, or refused."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fakes.checkpointed_runs import (
    interrupted,
    resumed,
    sum_of,
    sums,
)
from smlm_pipeline.errors import CheckpointError
from smlm_pipeline.run import checkpoint_file


def _rewrite(path: Path, **changed: object) -> None:
    """Change facts of a checkpoint, its sum staying as it is."""
    facts = checkpoint_file.read_facts(path) | changed
    with zipfile.ZipFile(path) as opened:
        summed = opened.read("sum.npy")
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("checkpoint.json", json.dumps(facts))
        opened.writestr("sum.npy", summed)


NONSENSE = [None, [[0, 11]], [[-1, 2]], [[-(10**15), 2]], [[2, 1]], [3], "abc", [["a", "b"]]]


@pytest.mark.parametrize("merged", NONSENSE)
def test_a_checkpoint_that_covers_nonsense(tmp_path: Path, merged: object) -> None:
    interrupted(tmp_path / "a.checkpoint", 2)
    _rewrite(tmp_path / "a.checkpoint", merged=merged)
    with pytest.raises(CheckpointError, match="does not state which chunks it holds; start over"):
        resumed(tmp_path / "a.checkpoint")


def test_a_checkpoint_of_another_release(tmp_path: Path) -> None:
    interrupted(tmp_path / "a.checkpoint", 2)
    _rewrite(tmp_path / "a.checkpoint", format=2)
    with pytest.raises(
        CheckpointError, match="is a checkpoint of another release; expected form 1"
    ):
        resumed(tmp_path / "a.checkpoint")


@pytest.mark.parametrize("keep", [0, 40, 700, -1])
def test_a_checkpoint_that_was_cut_short(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"is damaged or no checkpoint; .*--overwrite"):
        resumed(path)


def test_one_turned_bit_is_noticed_or_does_not_matter(tmp_path: Path) -> None:
    """Whichever it is; times of a zip's entries, for one, are of no account."""
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)
    held, expected, refused = path.read_bytes(), sums(sum_of(2)), 0
    places = [*range(0, 1200, 7), *range(1200, len(held) - 400, 4999), *range(-400, 0, 7)]
    for place in places:
        turned = bytearray(held)
        turned[place] ^= 1 << place % 8
        path.write_bytes(turned)
        try:
            found = resumed(path)
        except CheckpointError:
            refused += 1
        else:
            assert found.merged == {2}
            np.testing.assert_array_equal(sums(found), expected)
    assert refused > len(places) / 2


def test_a_checkpoint_of_a_clock_before_1980(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip states no earlier year."""
    monkeypatch.setattr("time.time", lambda: 3600.0)
    interrupted(tmp_path / "a.checkpoint", 2)
    assert resumed(tmp_path / "a.checkpoint").merged == {2}


@pytest.mark.parametrize("entry", ["checkpoint.json", "sum.npy"])
def test_a_checkpoint_that_grows_when_it_is_read(tmp_path: Path, entry: str) -> None:
    """64 MB of zeros in 64 kB: refused before they are unpacked."""
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)
    with zipfile.ZipFile(path) as opened:
        kept = {name: opened.read(name) for name in opened.namelist()}
    kept[entry] += bytes(1 << 26)
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in kept.items():
            kind = zipfile.ZIP_DEFLATED if name == entry else zipfile.ZIP_STORED
            opened.writestr(name, content, kind)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"is damaged or no checkpoint; .*--overwrite"):
            resumed(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
