"""``submit --drift``: what is corrected, what is written and said, and what resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import names, one_line, submit, take_for_local, write_film
from fakes.drifting_samples import drift_nm, film_adu, rms_nm
from fakes.image_files import described
from fakes.tables import read_back
from fakes.transports import ComputingTransport
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.files import read_drift, write_drift
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError

FRAMES = 90


class _FailsOnce(ComputingTransport):
    """Refuses requests of frame 10 until it is repaired."""

    broken = True

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if self.broken and request.label.startswith("frames 10 "):
            raise InferenceError("the server refused the chunk")
        return super().sum_chunk(request)


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> ComputingTransport:
    computing = ComputingTransport()
    take_for_local(monkeypatch, computing)
    return computing


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return write_film(tmp_path / "run" / "film.tif")


def _report(film: Path, *options: str | Path) -> dict[str, Any]:
    result = submit(film, *options, "--json")
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def _image(film: Path, name: str = "film.sr.ome.tif") -> NDArray[np.float32]:
    found: NDArray[np.float32] = tifffile.imread(film.with_name(name))
    return found


def _shift_file(path: Path, x_nm: float, y_nm: float, frames: int = 16) -> Path:
    write_drift(path, Drift(np.array([0.0]), np.array([[y_nm], [x_nm]])), range(frames))
    return path


def test_a_drifting_film(tmp_path: Path, transport: ComputingTransport) -> None:
    film, table = tmp_path / "film.tif", tmp_path / "table.csv"
    tifffile.imwrite(film, film_adu("linear", frames=FRAMES), photometric="minisblack")
    before = _report(film, "--molecules", table)
    plain, (rows_before, _) = _image(film), read_back(table)
    report = _report(film, "--drift", "auto", "--molecules", table, "--overwrite")
    rows, _ = read_back(table)
    facts = report["drift"]
    assert (facts["asked"], facts["corrected"]) == ("auto", True)
    assert facts["range_x_nm"] == pytest.approx(120, abs=8)
    assert facts["range_y_nm"] == pytest.approx(160, abs=8)
    assert facts["error_nm"] < 20
    frames = np.arange(FRAMES)
    found = read_drift(Path(facts["table"])).at(frames)
    assert rms_nm(found - drift_nm("linear", FRAMES, np.random.default_rng())) < 5
    for name, axis in (("x_nm", 1), ("y_nm", 0)):
        moved = rows_before[name] - found[axis, rows["frame"]]
        np.testing.assert_allclose(rows[name], moved, atol=2e-3)
    image, uncorrected = _image(film), _image(film, "film.sr.uncorrected.ome.tif")
    left = pytest.approx(before["emitters"], rel=0.05)  # some have left the field
    assert image.sum(dtype=np.float64) == left
    assert report["emitters"] == pytest.approx(image.sum(dtype=np.float64), rel=1e-5)
    assert not np.array_equal(image, uncorrected)
    np.testing.assert_array_equal(uncorrected, plain)
    stated = described(film.with_name("film.sr.ome.tif"))["drift"]
    assert stated == {**facts, **{name: Path(facts[name]).name for name in _FILES}}
    assert described(film.with_name("film.sr.uncorrected.ome.tif"))["drift"] is None


_FILES = ("uncorrected_image", "table", "plot")


def test_what_is_not_found_is_not_corrected(film: Path, transport: ComputingTransport) -> None:
    submit(film, "--drift", _shift_file(film.parent.parent / "a.csv", 10, 0), "--quiet")
    report = _report(film, "--drift", "auto", "--overwrite")
    assert not report["drift"]["corrected"]
    assert any("so the image is not corrected" in note for note in report["notes"])
    submit(film, "-o", film.parent.parent / "plain.tif", "--quiet")
    np.testing.assert_array_equal(_image(film), tifffile.imread(film.parent.parent / "plain.tif"))
    written = ["film.sr.drift.csv", "film.sr.drift.png", "film.sr.ome.tif", "film.sr.png"]
    assert names(film.parent) == [*written, "film.tif"]
    assert not read_drift(film.with_name("film.sr.drift.csv")).yx_nm.any()
    assert report["drift"]["uncorrected_image"] == ""


def test_a_file_moves_the_image_by_whole_pixels(film: Path, transport: ComputingTransport) -> None:
    zero = _shift_file(film.parent.parent / "zero.csv", 0, 0)
    moved = _shift_file(film.parent.parent / "moved.csv", 2 * 12.5, -12.5)
    report = _report(film, "--drift", zero)
    still = _image(film)
    assert report["drift"]["asked"] == "zero.csv"
    assert report["drift"]["corrected"]
    submit(film, "--drift", moved, "--overwrite", "--quiet")
    np.testing.assert_array_equal(_image(film)[1:-1, 2:-2], still[:-2, 4:])
    plain = _image(film, "film.sr.uncorrected.ome.tif")
    assert still.sum(dtype=np.float64) == pytest.approx(plain.sum(dtype=np.float64), rel=0.01)


def test_text_for_people(film: Path, transport: ComputingTransport) -> None:
    shift = _shift_file(film.parent.parent / "a.csv", 10, 0)
    shift.write_text(shift.read_text().replace("15,10.000,0.000", "15,40.000,-7.000"))
    text = submit(film, "--drift", shift).stdout
    drift, before = (film.with_name(f"film.sr.{name}") for name in _NAMES)
    line = f"drift    30 nm in x and 7 nm in y corrected ({drift}); before, {before}\n"
    assert line in text
    text = submit(film, "--drift", "auto", "--overwrite").stdout
    assert f"drift    not corrected; see {film.with_name('film.sr.drift.png')}\n" in text
    assert "drift " not in submit(film, "--overwrite").stdout


_NAMES = ("drift.csv", "uncorrected.ome.tif")


def test_its_own_file_is_used_again(film: Path, transport: ComputingTransport) -> None:
    own = _shift_file(film.with_name("film.sr.drift.csv"), 25, 0)
    before = own.read_bytes()
    assert _report(film, "--drift", own)["drift"]["corrected"]
    assert own.read_bytes() == before


@pytest.mark.parametrize("refine", ["off", "3"])
def test_an_interrupted_run_ends_with_the_same_bits(
    refine: str, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--drift", _shift_file(film.parent.parent / "a.csv", 30, -20), "--refine", refine)
    in_turn = ("--chunk-frames", "2", "--in-flight", "1")
    take_for_local(monkeypatch, ComputingTransport())
    whole = film.parent.parent / "whole.tif"
    assert submit(film, "-o", whole, *options, "--quiet").exit_code == 0
    failing = _FailsOnce()
    take_for_local(monkeypatch, failing)
    assert submit(film, *options, *in_turn).exit_code == 6
    assert "film.sr.checkpoint.molecules" in names(film.parent)
    failing.broken = False
    assert submit(film, *options, *in_turn, "--resume", "--quiet").exit_code == 0
    np.testing.assert_array_equal(_image(film), tifffile.imread(whole))
    assert not [name for name in names(film.parent) if "checkpoint" in name]


def test_a_run_without_molecules_cannot_resume_with_drift(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _FailsOnce())
    in_turn = ("--chunk-frames", "2", "--in-flight", "1")
    assert submit(film, *in_turn).exit_code == 6
    line = one_line(submit(film, *in_turn, "--drift", "auto", "--resume", "--quiet"))
    assert "use the options of the interrupted run" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--drift", "missing.csv"), "there is no drift file missing.csv"),
        (("--drift", "auto", "--model", "reconstruction_map"), "answers with maps, which hold no"),
    ],
)
def test_what_cannot_be_corrected_is_refused(
    options: tuple[str, ...], message: str, film: Path, transport: ComputingTransport
) -> None:
    result = submit(film, *options)
    assert result.exit_code == 2
    assert message in one_line(result)
    assert not transport.requests
    assert names(film.parent) == ["film.tif"]


def test_a_drift_of_fewer_frames_is_refused(film: Path, transport: ComputingTransport) -> None:
    short = _shift_file(film.parent.parent / "a.csv", 1, 1, frames=15)
    result = submit(film, "--drift", short)
    assert (result.exit_code, transport.requests) == (2, {})
    assert "drift of frames 0 to 14, the film has frames 0 to 15" in one_line(result)
    _report(film, "--drift", short, "--frames", "2:15", "--overwrite")
    listed = film.with_name("film.sr.drift.csv").read_text().splitlines()
    assert (listed[1].split(",")[0], listed[-1].split(",")[0]) == ("2", "14")
