"""``submit`` with films that lack frames, and with every second frame: image, report, metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import names, one_line, submit, take_for_local
from fakes.films import spots_adu
from fakes.format_films import zarr_array
from fakes.image_files import described
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError

FILM_ADU = spots_adu(24, 32, 32)
GONE = [5, 6, 17]
THERE = [frame for frame in range(24) if frame not in GONE]
FIELD_PX = [0, 0, 32, 32]
MISSING = [{"frames": [5, 7], "roi_px": FIELD_PX}, {"frames": [17, 18], "roi_px": FIELD_PX}]


class _Keeping(ComputingTransport):
    """Remembers the labels of its requests; fails at those that begin so."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self.labels: list[str] = []
        self._failing = failing

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if self._failing and request.label.startswith(self._failing):
            raise InferenceError("the server refused the chunk")
        self.labels.append(request.label.partition(", tile")[0])
        return super().sum_chunk(request)


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> _Keeping:
    keeping = _Keeping()
    take_for_local(monkeypatch, keeping)
    return keeping


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.zarr"
    zarr_array(path, FILM_ADU, chunks=(1, 32, 32), zarr_format=2)
    for frame in GONE:
        (path / f"{frame}.0.0").unlink()
    return path


def _image_of(folder: Path, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The image of a whole film of these frames."""
    tifffile.imwrite(folder / "whole.tif", frames_adu, photometric="minisblack")
    assert submit(folder / "whole.tif", "--quiet").exit_code == 0
    image: NDArray[np.float32] = tifffile.imread(folder / "whole.sr.ome.tif")
    return image


def _told(*arguments: str | Path) -> dict[str, Any]:
    result = submit(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_refused_by_default(film: Path, transport: _Keeping) -> None:
    line = one_line(submit(film))
    assert "lacks frames 5 to 6, 17 of 24 (3 chunks are not stored, cut short or zeros" in line
    assert "take the 21 frames that are there with --allow-partial" in line
    assert line.endswith("or the first ones with --frames :5")
    assert not transport.labels
    assert names(film.parent) == ["film.zarr"]


def test_missing_frames_alone_are_left_out(film: Path, transport: _Keeping) -> None:
    """The others of their chunks count; the note says so with ``--quiet`` too."""
    told = _told(film, "--allow-partial", "--chunk-frames", "8")
    assert (told["frames"], told["missing"]) == (21, MISSING)
    (note,) = [note for note in told["notes"] if "lacks" in note]
    assert "lacks frames 5 to 6, 17 of 24" in note
    assert transport.labels == ["frames 0 to 4, 7 to 9", "frames 10 to 16, 18", "frames 19 to 23"]
    image = film.with_name("film.sr.ome.tif")
    assert described(image)["missing"] == MISSING
    assert described(image)["notes"] == told["notes"]
    np.testing.assert_array_equal(tifffile.imread(image), _image_of(film.parent, FILM_ADU[THERE]))
    assert "film.sr.checkpoint" not in names(film.parent)
    quiet = submit(film, "--allow-partial", "--overwrite", "--quiet")
    assert "lacks frames 5 to 6, 17 of 24" in quiet.stderr


def test_a_dry_run_says_it_too(film: Path) -> None:
    told = _told(film, "--allow-partial", "--dry-run")
    assert (told["frames"], told["missing"]) == (21, MISSING)
    assert submit(film, "--dry-run").exit_code == 3


def test_frames_that_are_there_need_no_leave(film: Path, transport: _Keeping) -> None:
    told = _told(film, "--frames", "7:17")
    assert (told["frames"], told["missing"]) == (10, [])
    assert any("the chosen frames are complete" in note for note in told["notes"])
    np.testing.assert_array_equal(
        tifffile.imread(film.with_name("film.sr.ome.tif")), _image_of(film.parent, FILM_ADU[7:17])
    )


@pytest.mark.parametrize(
    ("frames", "taken"),
    [("0::2", np.s_[0::2]), ("1::2", np.s_[1::2]), ("3:20:5", np.s_[3:20:5])],
)
def test_every_second_frame(tmp_path: Path, frames: str, taken: slice, transport: _Keeping) -> None:
    tifffile.imwrite(tmp_path / "film.tif", FILM_ADU)
    told = _told(tmp_path / "film.tif", "--frames", frames, "--chunk-frames", "4")
    chosen = FILM_ADU[taken]
    assert told["frames"] == len(chosen)
    assert told["selection"]["frames"] == [taken.start, taken.stop or 24, taken.step]
    first = transport.labels[0]
    assert (
        first == f"frames {taken.start} to {taken.start + 3 * taken.step} in steps of {taken.step}"
    )
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "film.sr.ome.tif"), _image_of(tmp_path, chosen)
    )


def test_chunks_that_failed_are_told_by_the_numbers_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _Keeping("frames 9 "))
    tifffile.imwrite(tmp_path / "film.tif", FILM_ADU)
    options = ("--frames", "1::2", "--chunk-frames", "4", "--allow-partial")
    told = _told(tmp_path / "film.tif", *options)
    assert told["missing"] == [{"frames": [9, 17, 2], "roi_px": FIELD_PX}]
    assert "4 of 12 frames are missing from the image" in told["notes"][-1]


def test_another_colour_does_not_continue_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _Keeping("frames 9 "))
    tifffile.imwrite(tmp_path / "film.tif", FILM_ADU)
    options = ("--chunk-frames", "4", "--in-flight", "1", "--quiet")
    assert submit(tmp_path / "film.tif", "--frames", "1::2", *options).exit_code == 6
    take_for_local(monkeypatch, _Keeping())
    other = submit(tmp_path / "film.tif", "--frames", "0::2", "--resume", *options)
    assert other.exit_code == 9
    assert "other frames" in one_line(other)
    same = submit(tmp_path / "film.tif", "--frames", "1::2", "--resume", *options)
    assert same.exit_code == 0
