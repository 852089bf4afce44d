"""``submit --resume`` and ``--allow-partial``: what a run that failed leaves, and its use."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import names, one_line, submit, take_for_local, write_film
from fakes.films import damage, spots_adu
from fakes.image_files import described
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, ReconError, TransientServerError
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.formats.refusals import reading
from smlm_pipeline.run import dispatch

REQUESTS = 8
IN_TURN = ("--chunk-frames", "2", "--in-flight", "1")
"""Eight requests for the film, one after the other."""


class _Failing(ComputingTransport):
    """Answers, but for requests whose label begins so."""

    def __init__(self, error: ReconError, *labels: str) -> None:
        super().__init__()
        self._error, self._labels = error, labels

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if request.label.startswith(self._labels):
            raise self._error
        return super().sum_chunk(request)


REFUSED = InferenceError("the server refused the chunk")
GONE = TransientServerError("the server did not answer")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_S", 0.001)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return write_film(tmp_path / "run" / "film.tif")


def _undisturbed(film: Path, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float32]:
    take_for_local(monkeypatch, ComputingTransport())
    image = film.parent.parent / "undisturbed.tif"
    assert submit(film, "-o", image, "--quiet").exit_code == 0
    found: NDArray[np.float32] = tifffile.imread(image)
    return found


def _interrupted(film: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave the checkpoint of a run that failed at its sixth request."""
    take_for_local(monkeypatch, _Failing(REFUSED, "frames 10 "))
    assert submit(film, *IN_TURN, "--quiet").exit_code == 6
    assert names(film.parent) == ["film.sr.checkpoint", "film.tif"]
    return film.with_name("film.sr.checkpoint")


def test_a_run_that_failed_continues(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _undisturbed(film, monkeypatch)
    _interrupted(film, monkeypatch)
    transport = ComputingTransport()
    take_for_local(monkeypatch, transport)
    result = submit(film, *IN_TURN, "--resume")
    assert result.exit_code == 0
    assert "continuing from film.sr.checkpoint: 5 of 8 requests are done" in result.stderr
    assert len(transport.requests) == 3
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]
    np.testing.assert_array_equal(tifffile.imread(film.with_name("film.sr.ome.tif")), expected)


def test_a_failure_reports_how_to_continue(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, _Failing(REFUSED, "frames 10 "))
    result = submit(film, *IN_TURN)
    checkpoint = film.with_name("film.sr.checkpoint")
    kept = f"5 of 8 requests are kept in {checkpoint}; run the same command with --resume to"
    assert kept in result.stderr
    assert "the server refused the chunk" in result.stderr


def test_speed_counts_what_this_run_did(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _interrupted(film, monkeypatch)
    take_for_local(monkeypatch, ComputingTransport())
    told = json.loads(submit(film, *IN_TURN, "--resume", "--json").stdout)
    assert told["frames"] == 16
    assert told["frames_per_s"] == pytest.approx(6 / told["elapsed_s"])


def test_what_was_kept_is_not_thrown_away_unasked(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = _interrupted(film, monkeypatch)
    before = checkpoint.read_bytes()
    take_for_local(monkeypatch, ComputingTransport())
    result = submit(film, *IN_TURN)
    assert result.exit_code == 7
    assert one_line(result) == (
        f"recon-client: {checkpoint} is the checkpoint of an interrupted run; expected --resume to "
        "continue that run, or --overwrite to start over"
    )
    assert checkpoint.read_bytes() == before
    transport = ComputingTransport()
    take_for_local(monkeypatch, transport)
    assert submit(film, *IN_TURN, "--overwrite", "--quiet").exit_code == 0
    assert len(transport.requests) == REQUESTS
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--zoom", "4"), "was begun with zoom 8, this run has 4"),
        (("--frames", "1:"), "belongs to another film, or to other frames or another region of it"),
        (("--roi", "0,0,16,32"), "belongs to another film"),
        (("--chunk-frames", "4"), "was begun with chunk frames 2, this run has 4"),
    ],
)
def test_other_options_do_not_continue(
    film: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    checkpoint = _interrupted(film, monkeypatch)
    before = checkpoint.read_bytes()
    take_for_local(monkeypatch, ComputingTransport())
    result = submit(film, *IN_TURN, "--resume", "--quiet", *options)
    assert result.exit_code == 9
    assert told in one_line(result)
    assert checkpoint.read_bytes() == before


def test_another_film_does_not_continue(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _interrupted(film, monkeypatch)
    frames_adu = tifffile.imread(film)
    frames_adu[3, 5, 5] += 1
    tifffile.imwrite(film, frames_adu, photometric="minisblack")
    result = submit(film, *IN_TURN, "--resume", "--quiet")
    assert result.exit_code == 9
    assert "belongs to another film" in one_line(result)


def test_to_continue_and_to_start_over_is_one_too_many(film: Path) -> None:
    result = submit(film, "--resume", "--overwrite", "--quiet")
    assert result.exit_code == 2
    assert "--overwrite starts over; expected one of them" in one_line(result)


def test_what_nobody_should_miss_is_told_with_quiet(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _Failing(REFUSED, "frames 4 "))
    result = submit(film, *IN_TURN, "--allow-partial", "--quiet")
    assert result.exit_code == 0
    assert "2 of 16 frames are missing from the image" in result.stderr
    assert "7 of 8 requests are kept in" in result.stderr


def test_a_share_that_does_not_answer_is_no_damage(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Film.read

    def fail(film: Film, first: int, last: int) -> NDArray[np.uint16]:
        if first == 6:
            with reading(film.path):
                raise OSError(errno.EIO, "Input/output error")
        return read(film, first, last)

    monkeypatch.setattr(Film, "read", fail)
    take_for_local(monkeypatch, ComputingTransport())
    result = submit(film, *IN_TURN, "--allow-partial", "--quiet")
    assert result.exit_code == 3
    assert "cannot be read (Input/output error)" in one_line(result)


def test_without_a_checkpoint_a_run_starts_at_the_first_frame(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = ComputingTransport()
    take_for_local(monkeypatch, transport)
    result = submit(film, *IN_TURN, "--resume")
    assert result.exit_code == 0
    assert "there is no film.sr.checkpoint to resume from" in result.stderr
    assert len(transport.requests) == REQUESTS


def test_what_fails_for_good_is_left_out_and_told(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _Failing(REFUSED, "frames 4 ", "frames 6 ", "frames 12 "))
    result = submit(film, *IN_TURN, "--allow-partial")
    assert result.exit_code == 0
    assert "6 of 16 frames are missing from the image, wholly or in part" in result.stderr
    assert "the server refused the chunk" in result.stderr
    image = film.with_name("film.sr.ome.tif")
    field = [0, 0, 32, 32]
    assert described(image)["missing"] == [
        {"frames": [4, 8], "roi_px": field},
        {"frames": [12, 14], "roi_px": field},
    ]
    partial = tifffile.imread(image)
    take_for_local(monkeypatch, ComputingTransport())
    assert submit(film, *IN_TURN, "--resume", "--quiet").exit_code == 0
    completed = tifffile.imread(image)
    assert described(image)["missing"] == []
    np.testing.assert_array_equal(completed, _undisturbed(film, monkeypatch))
    assert 0 < partial.sum() < completed.sum()
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]


def test_missing_parts_are_counted_as_the_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, spots_adu(20, 32, 104), photometric="minisblack")
    failing = _Failing(
        REFUSED, "frames 12 to 13, tile at y 3, x 56", "frames 14 to 15", "frames 16"
    )
    take_for_local(monkeypatch, failing)
    cut = ("--frames", "10:18", "--roi", "4,3,90,20", "--tile-px", "64")
    told = submit(path, *IN_TURN, *cut, "--allow-partial", "--json").stdout
    assert json.loads(told)["missing"] == [
        {"frames": [12, 14], "roi_px": [4 + 52, 3, 38, 20]},
        {"frames": [14, 18], "roi_px": [4, 3, 90, 20]},
    ]


def test_a_server_that_is_gone_ends_the_run_with_what_there_is(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = _Failing(GONE, "frames 6 ")
    take_for_local(monkeypatch, transport)
    result = submit(film, *IN_TURN, "--allow-partial")
    assert result.exit_code == 0
    assert "10 of 16 frames are missing" in result.stderr
    assert len(transport.requests) == 3
    assert names(film.parent) == [
        "film.sr.checkpoint",
        "film.sr.ome.tif",
        "film.sr.png",
        "film.tif",
    ]


@pytest.mark.parametrize(("error", "code"), [(REFUSED, 6), (GONE, 4)])
def test_an_image_of_nothing_is_not_written(
    film: Path, monkeypatch: pytest.MonkeyPatch, error: ReconError, code: int
) -> None:
    take_for_local(monkeypatch, _Failing(error, "frames"))
    result = submit(film, *IN_TURN, "--allow-partial", "--quiet")
    assert result.exit_code == code
    assert str(error) in one_line(result)
    assert names(film.parent) == ["film.tif"]


def test_damaged_frames_are_left_out(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames_adu = tifffile.imread(film)
    tifffile.imwrite(film, frames_adu, photometric="minisblack", compression="zlib")
    damage(film, 5)
    transport = ComputingTransport()
    take_for_local(monkeypatch, transport)
    refused = submit(film, *IN_TURN, "--quiet")
    assert refused.exit_code == 3
    assert "is cut short or damaged in frame 5" in one_line(refused)
    told = json.loads(submit(film, *IN_TURN, "--allow-partial", "--json").stdout)
    assert told["missing"] == [{"frames": [4, 6], "roi_px": [0, 0, 32, 32]}]
    assert "is cut short or damaged in frames 4 to 5" in told["notes"][-1]
    assert len(transport.requests) == REQUESTS - 1
