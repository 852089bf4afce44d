"""What a run keeps of its sum: whole, of one moment, and gone on with by the same run only."""

from __future__ import annotations

import errno
import json
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.command_line import names
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import CheckpointError, ContractError
from smlm_pipeline.run import checkpoint, checkpoint_file, chunking
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.canvas import Canvas, FileCanvas
from smlm_pipeline.run.checkpoint import FileCheckpoint, Identity, NetworkIdentity

ZOOM = 2
CHUNKS = chunking.plan(20, 40, 30, chunk_frames=2, tile_px=64)
SHAPE = image_shape(ZOOM, 40, 30)
IDENTITY = Identity("f1", "reconstruction", 3, "smlm-recon 1", ZOOM, 2, 64, len(CHUNKS))

NETWORK = NetworkIdentity("1", "abc")


def _image(index: int) -> NDArray[np.int32]:
    return np.random.default_rng(index).integers(0, 1 << 31, SHAPE, dtype=np.int32)


def _sum_of(*indices: int, canvas: Canvas | None = None) -> Accumulator:
    accumulator = Accumulator(40, 30, zoom=ZOOM, canvas=canvas)
    for index in indices:
        accumulator.add(CHUNKS[index], _image(index), CHUNKS[index].frame_count)
    return accumulator


class _Run:
    """A ledger with what it said."""

    def __init__(
        self,
        path: Path,
        *,
        resume: bool = False,
        every_s: float = 1e6,
        network: NetworkIdentity = NETWORK,
    ) -> None:
        self.said: list[str] = []
        say = self.said.append
        self.ledger = FileCheckpoint(path, resume=resume, every_s=every_s, say=say, warn=say)
        self.ledger.answers_come_from(network)


def _interrupt(run: _Run, accumulator: Accumulator) -> None:
    """Begin a run and interrupt it."""
    with run.ledger as kept:
        kept.begin(accumulator, IDENTITY)
        raise KeyboardInterrupt


def _interrupted(path: Path, *indices: int) -> None:
    """Leave what a run that was interrupted leaves."""
    with pytest.raises(KeyboardInterrupt):
        _interrupt(_Run(path), _sum_of(*indices))


def _resumed(
    path: Path, identity: Identity = IDENTITY, network: NetworkIdentity = NETWORK
) -> Accumulator:
    accumulator = Accumulator(40, 30, zoom=ZOOM)
    _Run(path, resume=True, network=network).ledger.begin(accumulator, identity)
    return accumulator


def _sums(accumulator: Accumulator) -> NDArray[np.int64]:
    return accumulator.canvas.rows(0, SHAPE[0])


@pytest.mark.parametrize("band_bytes", [1, 8 * SHAPE[1] * 7, 1 << 24])
def test_an_interrupted_sum_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band_bytes: int
) -> None:
    monkeypatch.setattr(checkpoint_file, "_BAND_BYTES", band_bytes)
    _interrupted(tmp_path / "a.ledger", 7, 0, 1, 5)
    found = _resumed(tmp_path / "a.ledger")
    assert found.merged == {0, 1, 5, 7}
    assert [chunk.index for chunk in found.left(CHUNKS)] == [2, 3, 4, 6, 8, 9]
    np.testing.assert_array_equal(_sums(found), _sums(_sum_of(0, 1, 5, 7)))


def test_a_sum_in_a_file_comes_back(tmp_path: Path) -> None:
    with FileCanvas(SHAPE, tmp_path) as first, pytest.raises(KeyboardInterrupt):
        _interrupt(_Run(tmp_path / "a.ledger"), _sum_of(4, canvas=first))
    with FileCanvas(SHAPE, tmp_path) as second:
        accumulator = Accumulator(40, 30, zoom=ZOOM, canvas=second)
        _Run(tmp_path / "a.ledger", resume=True).ledger.begin(accumulator, IDENTITY)
        np.testing.assert_array_equal(_sums(accumulator), _sums(_sum_of(4)))


def test_numpy_opens_it(tmp_path: Path) -> None:
    _interrupted(tmp_path / "a.ledger", 3)
    with np.load(tmp_path / "a.ledger") as opened:
        np.testing.assert_array_equal(opened["sum"], _sums(_sum_of(3)))
    with zipfile.ZipFile(tmp_path / "a.ledger") as opened_zip:
        facts = json.loads(opened_zip.read("ledger.json"))
    assert facts["merged"] == [[3, 4]]
    assert facts["identity"]["film_sha256"] == "f1"


def test_it_is_written_now_and_then_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    run = _Run(path, every_s=0)
    with run.ledger as kept:
        accumulator = _sum_of(*range(9))
        kept.begin(accumulator, IDENTITY)
        kept.keep()
        assert _resumed(path).merged == set(range(9))
        accumulator.add(CHUNKS[9], _image(9), 2)
        kept.results_are_written()
    assert list(tmp_path.iterdir()) == []
    assert run.said == []


def test_a_slow_disk_is_written_to_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, written = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])

    def write(*_: object) -> None:
        written.append(now_s[0])
        now_s[0] += 3

    monkeypatch.setattr(checkpoint, "write_ledger", write)
    kept = _Run(tmp_path / "a.ledger", every_s=10).ledger
    kept.begin(_sum_of(0), IDENTITY)
    while now_s[0] < 150:
        kept.keep()
        now_s[0] += 1
    assert written == [10, 73, 136]  # ten seconds, then three twentieths of the time


def test_an_image_that_lacks_chunks_keeps_its_ledger(tmp_path: Path) -> None:
    run = _Run(tmp_path / "a.ledger")
    with run.ledger as kept:
        kept.begin(_sum_of(0, 1), IDENTITY)
        kept.results_are_written()
    assert _resumed(tmp_path / "a.ledger").merged == {0, 1}
    assert run.said == [
        f"2 of 10 requests are kept in {tmp_path / 'a.ledger'}; the same command with --resume "
        "goes on from there"
    ]


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupt(_Run(tmp_path / "a.ledger"), _sum_of())
    with pytest.raises(KeyboardInterrupt), _Run(tmp_path / "a.ledger").ledger:
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_that_gets_nowhere_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    _interrupted(path, 2)
    before = path.stat()
    with pytest.raises(KeyboardInterrupt):
        _interrupt(_Run(path, resume=True), _sum_of())
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_full_disk_costs_what_would_be_kept_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ledger"
    _interrupted(path, 2)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(checkpoint, "COST_SHARE", 1e9)
    run, accumulator = _Run(path, resume=True, every_s=0), _sum_of()
    run.ledger.begin(accumulator, IDENTITY)
    accumulator.add(CHUNKS[0], _image(0), 2)
    for _ in range(3):
        run.ledger.keep()
    run.ledger.__exit__(KeyboardInterrupt, None, None)
    _, complaint, kept = run.said
    assert complaint.startswith("what is summed so far cannot be kept for --resume: ")
    assert "the disk is full" in complaint
    assert kept.startswith("1 of 10 requests are kept in ")
    assert names(tmp_path) == ["a.ledger"]
    assert _resumed(path).merged == {2}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("film_sha256", "f2", "is of another film, or of other frames or another region of it"),
        ("model", "reconstruction_fast", "begun with model reconstruction, this run has recon"),
        ("zoom", 4, "begun with zoom 2, this run has 4"),
        ("chunk_frames", 9, "begun with chunk frames 2, this run has 9"),
        ("requests", 3, "begun with requests 10, this run has 3"),
    ],
)
def test_only_the_same_run_goes_on(tmp_path: Path, name: str, value: str | int, told: str) -> None:
    _interrupted(tmp_path / "a.ledger", 2)
    with pytest.raises(CheckpointError, match=told) as refused:
        _resumed(tmp_path / "a.ledger", replace(IDENTITY, **{name: value}))  # type: ignore[arg-type]
    assert "start anew with --overwrite instead of --resume" in str(refused.value)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (
            NetworkIdentity("2", "abc"),
            "begun with model version 1, this run has 2; use the same, or",
        ),
        (NetworkIdentity("1", "def"), "begun with network sha256 abc, this run has def"),
    ],
)
def test_only_the_same_network_goes_on(tmp_path: Path, network: NetworkIdentity, told: str) -> None:
    _interrupted(tmp_path / "a.ledger", 2)
    with pytest.raises(CheckpointError, match=told):
        _resumed(tmp_path / "a.ledger", network=network)


def test_a_server_that_does_not_tell_its_network_does_not_hide_it(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    _interrupted(path, 2)
    elsewhere = _Run(path, resume=True, network=NetworkIdentity("1")).ledger
    accumulator = _sum_of()
    elsewhere.begin(accumulator, IDENTITY)
    accumulator.add(CHUNKS[3], _image(3), 2)
    elsewhere.__exit__(KeyboardInterrupt, None, None)
    assert _resumed(path).merged == {2, 3}
    with pytest.raises(CheckpointError, match="begun with network sha256 abc, this run has def"):
        _resumed(path, network=NetworkIdentity("1", "def"))


def test_a_sum_of_several_networks_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before the servers went over to another one stays."""
    monkeypatch.setattr(checkpoint, "COST_SHARE", 1e9)
    renewed = False

    def check() -> None:
        if renewed:
            raise ContractError("servers went over to another network")

    path = tmp_path / "a.ledger"
    run = _Run(path, every_s=0, network=NetworkIdentity("1", "abc", check))
    accumulator = _sum_of(0, 1)
    run.ledger.begin(accumulator, IDENTITY)
    run.ledger.keep()
    renewed = True
    accumulator.add(CHUNKS[2], _image(2), 2)
    with pytest.raises(ContractError):
        run.ledger.keep()
    run.ledger.__exit__(KeyboardInterrupt, None, None)
    assert _resumed(path).merged == {0, 1}
    assert run.said[0].startswith("2 of 10 requests are kept in ")


class _Interrupted(Canvas):
    """Memory in which the user presses Ctrl-C while an image is added."""

    armed = False

    def add(self, top: int, left: int, image: NDArray[np.int32]) -> None:
        super().add(top, left, image[:20])
        if self.armed:
            raise KeyboardInterrupt
        super().add(top + 20, left, image[20:])


def test_half_a_chunk_is_not_kept(tmp_path: Path) -> None:
    path, canvas = tmp_path / "a.ledger", _Interrupted(SHAPE)
    accumulator = _sum_of(0, 1, canvas=canvas)
    kept = _Run(path, every_s=0).ledger
    kept.begin(accumulator, IDENTITY)
    kept.keep()
    canvas.armed = True
    with pytest.raises(KeyboardInterrupt):
        accumulator.add(CHUNKS[2], _image(2), 2)
    kept.__exit__(KeyboardInterrupt, None, None)
    found = _resumed(path)
    assert found.merged == {0, 1}
    np.testing.assert_array_equal(_sums(found), _sums(_sum_of(0, 1)))


def test_what_is_not_gone_on_with_is_gone_when_another_run_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    _interrupted(path, 2)
    _Run(path).ledger.begin(_sum_of(), IDENTITY)
    assert not path.exists()


def test_the_ledger_of_another_run_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    with _Run(path).ledger as kept:
        kept.begin(_sum_of(*range(10)), IDENTITY)
        _interrupted(path, 3)
        kept.results_are_written()
    assert _resumed(path).merged == {3}


def _rewrite(path: Path, **changed: object) -> None:
    """Change facts of a ledger, its sum staying as it is."""
    facts = checkpoint_file.read_facts(path) | changed
    with zipfile.ZipFile(path) as opened:
        summed = opened.read("sum.npy")
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("ledger.json", json.dumps(facts))
        opened.writestr("sum.npy", summed)


NONSENSE = [None, [[0, 11]], [[-1, 2]], [[-(10**15), 2]], [[2, 1]], [3], "abc", [["a", "b"]]]


@pytest.mark.parametrize("merged", NONSENSE)
def test_a_ledger_that_covers_nonsense(tmp_path: Path, merged: object) -> None:
    _interrupted(tmp_path / "a.ledger", 2)
    _rewrite(tmp_path / "a.ledger", merged=merged)
    with pytest.raises(CheckpointError, match="does not tell what it covers; start anew"):
        _resumed(tmp_path / "a.ledger")


def test_a_ledger_of_another_release(tmp_path: Path) -> None:
    _interrupted(tmp_path / "a.ledger", 2)
    _rewrite(tmp_path / "a.ledger", format=2)
    with pytest.raises(CheckpointError, match="is a ledger of another release; expected form 1"):
        _resumed(tmp_path / "a.ledger")


@pytest.mark.parametrize("keep", [0, 40, 700, -1])
def test_a_ledger_that_was_cut_short(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.ledger"
    _interrupted(path, 2)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"is damaged or no ledger; .*--overwrite"):
        _resumed(path)


def test_one_turned_bit_is_noticed_or_does_not_matter(tmp_path: Path) -> None:
    """Whichever it is; times of a zip's entries, for one, are of no account."""
    path = tmp_path / "a.ledger"
    _interrupted(path, 2)
    held, expected, refused = path.read_bytes(), _sums(_sum_of(2)), 0
    places = [*range(0, 1200, 7), *range(1200, len(held) - 400, 4999), *range(-400, 0, 7)]
    for place in places:
        turned = bytearray(held)
        turned[place] ^= 1 << place % 8
        path.write_bytes(turned)
        try:
            found = _resumed(path)
        except CheckpointError:
            refused += 1
        else:
            assert found.merged == {2}
            np.testing.assert_array_equal(_sums(found), expected)
    assert refused > len(places) / 2


def test_nothing_to_go_on_from_is_told(tmp_path: Path) -> None:
    run = _Run(tmp_path / "a.ledger", resume=True)
    run.ledger.begin(_sum_of(), IDENTITY)
    assert run.said == ["there is no a.ledger to go on from; starting at the first frame"]
