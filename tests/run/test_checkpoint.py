"""The checkpoint of a run: whole, of one moment, and continued by the same run only."""

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

from fakes.checkpointed_runs import (
    CHUNKS,
    IDENTITY,
    SHAPE,
    CheckpointedRun,
    SumAlone,
    add,
    interrupt,
    interrupted,
    resumed,
    sum_of,
    sums,
)
from fakes.command_line import names
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.errors import CheckpointError, ContractError
from smlm_pipeline.run import accumulate, checkpoint
from smlm_pipeline.run.canvas import Canvas, FileCanvas


@pytest.mark.parametrize("band_bytes", [1, 8 * SHAPE[1] * 7, 1 << 24])
def test_an_interrupted_sum_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band_bytes: int
) -> None:
    monkeypatch.setattr(accumulate, "_BAND_BYTES", band_bytes)
    interrupted(tmp_path / "a.checkpoint", 7, 0, 1, 5)
    found = resumed(tmp_path / "a.checkpoint")
    assert found.merged == {0, 1, 5, 7}
    assert [chunk.index for chunk in found.left(CHUNKS)] == [2, 3, 4, 6, 8, 9]
    np.testing.assert_array_equal(sums(found), sums(sum_of(0, 1, 5, 7)))


def test_a_sum_in_a_file_comes_back(tmp_path: Path) -> None:
    with FileCanvas(SHAPE, tmp_path) as first, pytest.raises(KeyboardInterrupt):
        interrupt(CheckpointedRun(tmp_path / "a.checkpoint"), sum_of(4, canvas=first))
    with FileCanvas(SHAPE, tmp_path) as second:
        sinks = SumAlone(second)
        CheckpointedRun(tmp_path / "a.checkpoint", resume=True).begin(sinks)
        np.testing.assert_array_equal(sums(sinks), sums(sum_of(4)))


def test_numpy_opens_it(tmp_path: Path) -> None:
    interrupted(tmp_path / "a.checkpoint", 3)
    with np.load(tmp_path / "a.checkpoint") as opened:
        np.testing.assert_array_equal(opened["sum"], sums(sum_of(3)))
    with zipfile.ZipFile(tmp_path / "a.checkpoint") as opened_zip:
        facts = json.loads(opened_zip.read("checkpoint.json"))
    assert facts["merged"] == [[3, 4]]
    assert facts["identity"] == IDENTITY.as_dict()


def test_it_is_written_now_and_then_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    run = CheckpointedRun(path, every_s=0)
    with run.checkpoint as kept:
        sinks = sum_of(*range(9))
        run.begin(sinks)
        kept.keep()
        assert resumed(path).merged == set(range(9))
        add(sinks, 9)
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

    monkeypatch.setattr(checkpoint, "write_checkpoint", write)
    run = CheckpointedRun(tmp_path / "a.checkpoint", every_s=10)
    run.begin(sum_of(0))
    while now_s[0] < 150:
        run.checkpoint.keep()
        now_s[0] += 1
    assert written == [10, 73, 136]  # ten seconds, then three twentieths of the time


def test_an_image_that_lacks_chunks_keeps_its_checkpoint(tmp_path: Path) -> None:
    run = CheckpointedRun(tmp_path / "a.checkpoint")
    with run.checkpoint as kept:
        run.begin(sum_of(0, 1))
        kept.results_are_written()
    assert resumed(tmp_path / "a.checkpoint").merged == {0, 1}
    assert run.said == [
        f"2 of 10 requests are kept in {tmp_path / 'a.checkpoint'}; run the same command with "
        "--resume to continue"
    ]


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt(CheckpointedRun(tmp_path / "a.checkpoint"), sum_of())
    with pytest.raises(KeyboardInterrupt), CheckpointedRun(tmp_path / "a.checkpoint").checkpoint:
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_that_gets_nowhere_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)
    before = path.stat()
    with pytest.raises(KeyboardInterrupt):
        interrupt(CheckpointedRun(path, resume=True), sum_of())
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_full_disk_costs_what_would_be_kept_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(checkpoint, "COST_SHARE", 1e9)
    run, sinks = CheckpointedRun(path, resume=True, every_s=0), sum_of()
    run.begin(sinks)
    add(sinks, 0)
    for _ in range(3):
        run.checkpoint.keep()
    run.checkpoint.__exit__(KeyboardInterrupt, None, None)
    _, complaint, kept = run.said
    assert complaint.startswith("the run has no checkpoint for --resume: ")
    assert "the disk is full" in complaint
    assert kept.startswith("1 of 10 requests are kept in ")
    assert names(tmp_path) == ["a.checkpoint"]
    assert resumed(path).merged == {2}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "film_sha256",
            "f2",
            "belongs to another film, or to other frames or another region of it",
        ),
        ("model", "reconstruction_fast", "begun with model reconstruction, this run has recon"),
        ("zoom", 4, "begun with zoom 2, this run has 4"),
        ("chunk_frames", 9, "begun with chunk frames 2, this run has 9"),
        ("contract_version", 2, "begun with contract version 3, this run has 2"),
        ("software", "smlm-recon 2", "begun with software smlm-recon 1, this run has smlm-recon 2"),
        ("tile_px", 128, "begun with tile px 64, this run has 128"),
        ("requests", 3, "begun with requests 10, this run has 3"),
        ("model_version", "2", "begun with model version 1, this run has 2; use the same, or"),
        ("network_sha256", "def", "begun with network sha256 abc, this run has def"),
        ("precision", "bf16", "begun with precision f32, this run has bf16; use the same"),
        ("precision", "", "begun with precision f32, this run has not stated"),
        ("network_engine", "ONNX Runtime", "begun with network engine OpenVINO, this run has ONNX"),
    ],
)
def test_only_the_same_run_continues(
    tmp_path: Path, name: str, value: str | int, told: str
) -> None:
    interrupted(tmp_path / "a.checkpoint", 2)
    with pytest.raises(CheckpointError, match=told) as refused:
        resumed(tmp_path / "a.checkpoint", replace(IDENTITY, **{name: value}))  # type: ignore[arg-type]
    assert "start over with --overwrite instead of --resume" in str(refused.value)


def test_all_of_the_identity_is_compared() -> None:
    changed = {**IDENTITY.as_dict(), **dict.fromkeys(IDENTITY.as_dict(), "other")}
    assert [name for name, *_ in IDENTITY.differences(changed)] == list(IDENTITY.as_dict())


def test_a_server_that_does_not_state_its_network_does_not_hide_it(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)
    elsewhere, sinks = CheckpointedRun(path, resume=True), sum_of()
    elsewhere.begin(sinks, replace(IDENTITY, network_sha256=""))
    add(sinks, 3)
    elsewhere.checkpoint.__exit__(KeyboardInterrupt, None, None)
    assert resumed(path).merged == {2, 3}
    with pytest.raises(CheckpointError, match="begun with network sha256 abc, this run has def"):
        resumed(path, replace(IDENTITY, network_sha256="def"))


def test_a_sum_of_several_networks_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint that was written before the servers changed their network stays."""
    monkeypatch.setattr(checkpoint, "COST_SHARE", 1e9)
    renewed = False

    def check() -> None:
        if renewed:
            raise ContractError("servers went over to another network")

    path = tmp_path / "a.checkpoint"
    run, sinks = CheckpointedRun(path, every_s=0), sum_of(0, 1)
    run.checkpoint.begin(sinks, IDENTITY, check)
    run.checkpoint.keep()
    renewed = True
    add(sinks, 2)
    with pytest.raises(ContractError):
        run.checkpoint.keep()
    run.checkpoint.__exit__(KeyboardInterrupt, None, None)
    assert resumed(path).merged == {0, 1}
    assert run.said[0].startswith("2 of 10 requests are kept in ")


class _Interrupted(Canvas):
    """Memory in which the user presses Ctrl-C while an image is added."""

    armed = False

    def add(self, top: int, left: int, width: int, sums: SparseSums) -> None:
        half = len(sums.index) // 2
        super().add(top, left, width, SparseSums(sums.index[:half], sums.weight[:half]))
        if self.armed:
            raise KeyboardInterrupt
        super().add(top, left, width, SparseSums(sums.index[half:], sums.weight[half:]))


def test_half_a_chunk_is_not_kept(tmp_path: Path) -> None:
    path, canvas = tmp_path / "a.checkpoint", _Interrupted(SHAPE)
    run, sinks = CheckpointedRun(path, every_s=0), sum_of(0, 1, canvas=canvas)
    run.begin(sinks)
    run.checkpoint.keep()
    canvas.armed = True
    with pytest.raises(KeyboardInterrupt):
        add(sinks, 2)
    run.checkpoint.__exit__(KeyboardInterrupt, None, None)
    found = resumed(path)
    assert found.merged == {0, 1}
    np.testing.assert_array_equal(sums(found), sums(sum_of(0, 1)))


def test_a_checkpoint_that_is_not_resumed_is_removed_when_another_run_begins(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2)
    CheckpointedRun(path).begin(sum_of())
    assert not path.exists()


def test_the_checkpoint_of_another_run_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    run = CheckpointedRun(path)
    with run.checkpoint as kept:
        run.begin(sum_of(*range(10)))
        interrupted(path, 3)
        kept.results_are_written()
    assert resumed(path).merged == {3}


def test_nothing_to_resume_from_is_reported(tmp_path: Path) -> None:
    run = CheckpointedRun(tmp_path / "a.checkpoint", resume=True)
    run.begin(sum_of())
    assert run.said == ["there is no a.checkpoint to resume from; starting at the first frame"]
