"""Several sinks: each gets every chunk once, and a checkpoint keeps them all or none."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fakes.checkpointed_runs import (
    CHUNKS,
    CheckpointedRun,
    FrameList,
    SumAndList,
    add,
    interrupt,
    sum_of,
    sums,
)
from smlm_pipeline.errors import CheckpointError, InferenceError
from smlm_pipeline.run.sinks import Sinks


def _resumed(path: Path) -> SumAndList:
    sinks = SumAndList()
    CheckpointedRun(path, resume=True).begin(sinks)
    return sinks


def _expected(*indices: int) -> SumAndList:
    sinks = SumAndList()
    add(sinks, *indices)
    return sinks


def _leave(path: Path, *indices: int) -> None:
    """The checkpoint of an interrupted run with both sinks."""
    with pytest.raises(KeyboardInterrupt):
        interrupt(CheckpointedRun(path), _expected(*indices))


def test_each_sink_gets_each_chunk_once() -> None:
    sinks = _expected(4, 1, 4, 1, 7)
    assert sinks.list.frames == [8, 2, 14]
    assert sinks.merged == {1, 4, 7}
    assert [chunk.index for chunk in sinks.left(CHUNKS)] == [0, 2, 3, 5, 6, 8, 9]


def test_all_sinks_come_back(tmp_path: Path) -> None:
    _leave(tmp_path / "a.checkpoint", 3, 0)
    found, expected = _resumed(tmp_path / "a.checkpoint"), _expected(3, 0)
    assert found.merged == {0, 3}
    assert found.list.frames == [6, 0]
    np.testing.assert_array_equal(sums(found), sums(expected))


def test_an_answer_that_one_sink_refuses_reaches_none() -> None:
    sinks = _expected(0)
    sinks.list.refuses = True
    with pytest.raises(InferenceError, match="chunk 1 of 2 frames is refused"):
        add(sinks, 1)
    assert sinks.whole
    assert sinks.merged == {0}
    np.testing.assert_array_equal(sums(sinks), sums(_expected(0)))


def test_an_answer_that_reached_one_sink_alone_is_not_kept(tmp_path: Path) -> None:
    path, sinks = tmp_path / "a.checkpoint", _expected(0)
    run = CheckpointedRun(path, every_s=0)
    run.begin(sinks)
    run.checkpoint.keep()
    sinks.list.breaks = True
    with pytest.raises(KeyboardInterrupt):
        add(sinks, 1)
    run.checkpoint.__exit__(KeyboardInterrupt, None, None)
    assert not sinks.whole
    found = _resumed(path)
    assert found.merged == {0}
    np.testing.assert_array_equal(sums(found), sums(_expected(0)))


def test_a_checkpoint_that_lacks_a_sink_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        interrupt(CheckpointedRun(path), sum_of(2))
    with pytest.raises(CheckpointError, match=r"keeps sum.npy; expected frames.json, sum.npy, the"):
        _resumed(path)


def test_a_checkpoint_with_one_sink_too_many_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    _leave(path, 2)
    with pytest.raises(CheckpointError, match=r"keeps frames.json, sum.npy; expected sum.npy, the"):
        CheckpointedRun(path, resume=True).begin(sum_of())


def test_sinks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="expected unlike names"):
        Sinks(FrameList(), FrameList())


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from fakes.checkpointed_runs import CheckpointedRun, SumAndList, add
from smlm_pipeline.run import checkpoint
checkpoint.COST_SHARE = 1e9  # so that each chunk is kept
run = CheckpointedRun(Path({file!r}), resume={resume}, every_s=0)
sinks = SumAndList()
run.begin(sinks)
for index in {indices!r}:
    add(sinks, index)
    run.checkpoint.keep()
    print(index, flush=True)
time.sleep(600)
"""


def _kill_after(file: Path, *indices: int, resume: bool) -> None:
    """A run in another process that is killed after these chunks."""
    code = KILLED.format(path=sys.path, file=str(file), resume=resume, indices=indices)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as run:
        try:
            assert run.stdout is not None
            for index in indices:
                assert run.stdout.readline() == b"%d\n" % index
        finally:
            run.send_signal(signal.SIGKILL)


def test_two_sinks_through_two_kills(tmp_path: Path) -> None:
    """Each chunk is in each sink exactly once, whichever run merged it."""
    path = tmp_path / "a.checkpoint"
    _kill_after(path, 0, 1, 5, resume=False)
    assert _resumed(path).list.frames == [0, 2, 10]
    _kill_after(path, 1, 2, 3, resume=True)
    run, sinks = CheckpointedRun(path, resume=True), SumAndList()
    with run.checkpoint as kept:
        run.begin(sinks)
        assert sinks.merged == {0, 1, 2, 3, 5}
        add(sinks, *range(10))
        kept.results_are_written()
    assert sorted(sinks.list.frames) == [chunk.first_frame for chunk in CHUNKS]
    np.testing.assert_array_equal(sums(sinks), sums(_expected(*range(10))))
    assert list(tmp_path.iterdir()) == []
