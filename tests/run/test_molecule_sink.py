"""The sink of molecules: each once, in the file's numbers, through checkpoints and full disks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.checkpointed_runs import IDENTITY, CheckpointedRun
from fakes.tables import PLACES, in_one
from smlm_pipeline.compute.sparse import sparse
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.errors import CheckpointError, InferenceError, OutputError
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.run import chunking
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.molecules import MoleculeSink, columns_of
from smlm_pipeline.run.sinks import Sinks
from smlm_pipeline.tables.camera_units import CameraUnits

CORNER = Corner(y_px=30, x_px=200, frames=range(5, 45, 2), step=2)
CHUNKS = chunking.plan(20, 100, 150, chunk_frames=7, tile_px=96)
"""Three ranges of frames of six tiles."""


def _molecules(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 8)


def _answer(molecules: NDArray[np.float32] | None, frame_count: int) -> ChunkAnswer:
    levels_adu = np.array([[100 + frame, 10 + frame] for frame in range(frame_count)], np.float32)
    return ChunkAnswer(sparse(np.zeros((1, 1), np.int32)), frame_count, molecules, levels_adu)


def _random(chunk: Chunk, count: int = 40) -> ChunkAnswer:
    """Molecules all over the chunk's core."""
    rng = np.random.default_rng(chunk.index)
    y, x = chunk.tile.y, chunk.tile.x
    table = np.empty((count, 8), np.float32)
    table[:, 0] = np.sort(rng.integers(0, chunk.frame_count, count))
    for column, span in ((1, y), (2, x)):
        low = span.core_start - span.read_start
        table[:, column] = rng.uniform(low, low + span.core_size - 0.01, count)
    table[:, 3:5] = rng.uniform(0.05, 0.3, (count, 2))
    table[:, 5] = rng.uniform(0.1, 1, count)
    table[:, 6:] = rng.uniform(1, 50, (count, 2))
    return _answer(table, chunk.frame_count)


def _sink(folder: Path, probability_min: float = 0.5) -> MoleculeSink:
    return MoleculeSink(folder / "a.checkpoint", probability_min, CORNER)


def _rows(sink: MoleculeSink) -> dict[str, Any]:
    rows = in_one(list(sink.blocks(100)))
    assert len(rows) == sink.row_count
    return {name: rows[name].tolist() for name in rows.names}


def test_rows_count_frames_and_pixels_as_the_file_does(tmp_path: Path) -> None:
    chunk = CHUNKS[-1]  # the last frames, the last tile
    y, x = chunk.tile.y, chunk.tile.x
    place = (y.core_start - y.read_start + 3.25, x.core_start - x.read_start + 0.5)
    with _sink(tmp_path) as sink:
        row = (2, *place, 0.125, 0.0625, 0.75, 20, 3)
        sink.add(chunk, _answer(_molecules(row), chunk.frame_count))
        found = _rows(sink)
        with_offset = _light(sink, CameraUnits(5, 100))
        without_offset = _light(sink, CameraUnits(5))
    number = 5 + 2 * (chunk.first_frame + 2)
    assert found == {
        "frame": [number],
        "x_nm": [100 * (200 + x.core_start + 0.5)],
        "y_nm": [100 * (30 + y.core_start + 3.25)],
        "uncertainty_x_nm": [6.25],
        "uncertainty_y_nm": [12.5],
        "probability": [0.75],
        "intensity_adu": [20 * 12],
        "uncertainty_intensity_adu": [3 * 12],
        "background_adu": [102],
    }
    photons = {"photons": [20 * 12 / 5], "uncertainty_photons": [3 * 12 / 5]}
    assert without_offset == photons
    assert with_offset == {**photons, "background_photons": [(102 - 100) / 5]}


def _light(sink: MoleculeSink, camera: CameraUnits) -> dict[str, Any]:
    """The columns of a table that depend on the camera."""
    rows = in_one(list(sink.blocks(100, camera)))
    assert rows.names == columns_of(camera)
    return {name: rows[name].tolist() for name in rows.names if name not in PLACES}


def test_the_order_of_chunks_does_not_matter(tmp_path: Path) -> None:
    found = []
    for seed in (None, 1, 2):
        order = np.arange(len(CHUNKS))
        if seed is not None:
            np.random.default_rng(seed).shuffle(order)
        with _sink(tmp_path) as sink:
            for index in order:
                sink.add(CHUNKS[index], _random(CHUNKS[index]))
            found.append(_rows(sink))
    assert found[0] == found[1] == found[2]
    assert found[0]["frame"] == sorted(found[0]["frame"])
    assert min(found[0]["probability"]) >= 0.5
    assert 0.4 * 40 * len(CHUNKS) < len(found[0]["frame"]) < 0.7 * 40 * len(CHUNKS)
    assert list(tmp_path.iterdir()) == []


def test_blank_pixels_have_no_molecules(tmp_path: Path) -> None:
    blank = np.zeros((100, 150), bool)
    blank[:, 60:] = True
    with _sink(tmp_path) as sink:
        sink.leave_out(blank)
        for chunk in CHUNKS:
            sink.add(chunk, _random(chunk))
        found = _rows(sink)
    assert found["frame"]
    assert max(found["x_nm"]) < 100 * (200 + 60)


@pytest.mark.parametrize(
    "molecules",
    [
        None,
        np.zeros((3, 6), np.float32),
        _molecules((7, 1, 1, 0.1, 0.1, 0.9, 20, 2)),
        _molecules((0, -0.5, 1, 0.1, 0.1, 0.9, 20, 2)),
        _molecules((0, 1, 80, 0.1, 0.1, 0.9, 20, 2)),
        _molecules((0, 1, np.nan, 0.1, 0.1, 0.9, 20, 2)),
        _molecules((0, 1, 1, 0.1, 0.1, 0.9, np.inf, 2)),
    ],
    ids=["none", "shape", "frame", "above", "right", "nan", "light"],
)
def test_an_answer_that_does_not_fit_is_refused(
    tmp_path: Path, molecules: NDArray[np.float32] | None
) -> None:
    with _sink(tmp_path) as sink:
        with pytest.raises(InferenceError, match="chunk 0 came back with"):
            sink.check(CHUNKS[0], _answer(molecules, 7))
        sink.check(CHUNKS[0], _random(CHUNKS[0]))


class _Interrupted(Exception):  # noqa: N818 - it stands for Ctrl-C
    """Ends a run."""


def _run(
    folder: Path, order: list[int], *, resume: bool, upto: int | None = None
) -> dict[str, Any]:
    """Merge chunks in this order, up to an interruption; the rows of a run that ends."""
    sink = _sink(folder)
    sinks = Sinks(sink)
    run = CheckpointedRun(folder / "a.checkpoint", resume=resume)
    with sink, run.checkpoint:
        run.begin(sinks)
        for place, index in enumerate(order):
            if place == upto:
                raise _Interrupted
            sinks.add(CHUNKS[index], _random(CHUNKS[index]))
        found = _rows(sink)
        run.checkpoint.results_are_written()
    return found


def test_an_interrupted_run_continues(tmp_path: Path) -> None:
    assert len(CHUNKS) >= IDENTITY.requests
    order = list(range(IDENTITY.requests))
    whole = _run(tmp_path, order, resume=False)
    with pytest.raises(_Interrupted):
        _run(tmp_path, order, resume=False, upto=4)
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.checkpoint",
        "a.checkpoint.molecules",
    }
    with (tmp_path / "a.checkpoint.molecules").open("ab") as file:
        file.write(b"x" * 77)  # of a chunk that the checkpoint does not know
    with pytest.raises(_Interrupted):
        _run(tmp_path, order[::-1], resume=True, upto=3)
    assert _run(tmp_path, order, resume=True) == whole
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_without_its_molecules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(_Interrupted):
        _run(tmp_path, [0, 1, 2], resume=False, upto=2)
    rows = tmp_path / "a.checkpoint.molecules"
    kept = rows.read_bytes()
    rows.write_bytes(kept[:-40])
    with pytest.raises(CheckpointError, match="is damaged"):
        _run(tmp_path, [0, 1, 2], resume=True)
    rows.unlink()
    with pytest.raises(CheckpointError, match=r"a\.checkpoint\.molecules is missing"):
        _run(tmp_path, [0, 1, 2], resume=True)
    rows.write_bytes(kept)
    other = _sink(tmp_path, probability_min=0.7)
    run = CheckpointedRun(tmp_path / "a.checkpoint", resume=True)
    with pytest.raises(CheckpointError, match=r"from probability 0.5 on, this run has 0.7"), other:
        run.begin(Sinks(other))


def test_a_run_that_starts_over_forgets_the_rows_before(tmp_path: Path) -> None:
    with pytest.raises(_Interrupted):
        _run(tmp_path, [0, 1, 2], resume=False, upto=2)
    with _sink(tmp_path) as sink:
        (tmp_path / "a.checkpoint").unlink()
        sink.add(CHUNKS[0], _random(CHUNKS[0]))
        alone = _rows(sink)
    with _sink(tmp_path) as sink:
        sink.add(CHUNKS[0], _random(CHUNKS[0]))
        assert _rows(sink) == alone


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "a.checkpoint.molecules").symlink_to(full)
    many = np.tile(_random(CHUNKS[0]).molecules, (100, 1))  # type: ignore[arg-type]
    with _sink(tmp_path, 0.1) as sink, pytest.raises(OutputError, match="the disk is full"):
        sink.add(CHUNKS[0], _answer(many, 7))


def test_the_state_in_a_checkpoint_is_small(tmp_path: Path) -> None:
    with _sink(tmp_path) as sink:
        for chunk in CHUNKS:
            sink.add(chunk, _random(chunk, 2000))
        state = io.BytesIO()
        sink.write_to(state)
        assert (tmp_path / "a.checkpoint.molecules").stat().st_size == 44 * sink.row_count
    assert len(state.getvalue()) < 40 * len(CHUNKS) + 300
