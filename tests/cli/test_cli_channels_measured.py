"""``submit --channels`` with drift, resolution, error map and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import names, submit, take_for_local
from fakes.drifting_samples import drift_nm, film_adu, rms_nm
from fakes.image_files import described
from fakes.tables import read_back
from fakes.transports import ComputingTransport
from smlm_bench.channels.films import joined
from smlm_pipeline.cli.json_output import REPORT_SCHEMA_FILE, SCHEMA_FILE
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.files import read_drift, write_drift
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError

FRAMES = 140
OPTIONS = ("--pixel-size-nm", "100", "--registration", "off")
SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
HALVES = {"left,right": ("left", "right"), "alternating": ("first", "second")}


@pytest.fixture(autouse=True)
def _transport(monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())


def _film(path: Path, split: str, kind: str = "linear") -> Path:
    """Both channels show the same dots, on one stage."""
    if split == "alternating":
        film = film_adu(kind, frames=2 * FRAMES)
    else:
        one, other = (film_adu(kind, frames=FRAMES, blinks=each) for each in (1, 2))
        film = joined(one, other, split)
    tifffile.imwrite(path, film, photometric="minisblack")
    return path


def _report(film: Path, split: str, *options: str | Path) -> dict[str, Any]:
    result = submit(film, "--channels", split, *OPTIONS, "--json", *options)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    SCHEMA.validate(report)
    return report


def _planes(film: Path, name: str) -> NDArray[np.float32]:
    planes: NDArray[np.float32] = tifffile.imread(film.with_name(name))
    return planes


@pytest.mark.parametrize("split", HALVES)
def test_channels_share_the_drift_of_the_stage(tmp_path: Path, split: str) -> None:
    film, table = _film(tmp_path / "film.tif", split), tmp_path / "table.csv"
    tables = [tmp_path / f"table.{half}.csv" for half in HALVES[split]]
    _report(film, split, "--molecules", table)
    plain = _planes(film, "film.sr.ome.tif"), [read_back(each)[0] for each in tables]
    report = _report(film, split, "--molecules", table, "--drift", "auto", "--overwrite")
    count = 2 * FRAMES if split == "alternating" else FRAMES
    found = read_drift(tmp_path / "film.sr.drift.csv")
    assert found.frame.tolist() == list(range(count))
    drift = found.at(np.arange(count))
    assert rms_nm(drift - drift_nm("linear", count, np.random.default_rng())) < 5
    for each in report["channels"].values():
        assert each["drift"]["corrected"]
        assert each["drift"]["molecules"] > 1.9 * 3 * FRAMES, "those of both"
    uncorrected = _planes(film, "film.sr.uncorrected.ome.tif")
    np.testing.assert_array_equal(uncorrected, plain[0])
    assert (_planes(film, "film.sr.ome.tif") != plain[0]).any(axis=(1, 2)).all()
    for path, before in zip(tables, plain[1], strict=True):
        rows, _ = read_back(path)
        for name, axis in (("x_nm", 1), ("y_nm", 0)):
            np.testing.assert_allclose(
                rows[name], before[name] - drift[axis, rows["frame"]], atol=2e-3
            )
    stated = described(tmp_path / "film.sr.uncorrected.ome.tif")["channels"]
    assert [each["drift"] for each in stated.values()] == [None, None]


def test_a_channel_that_shows_too_little_gets_the_drift_of_the_other(tmp_path: Path) -> None:
    film = tmp_path / "film.tif"
    dots = film_adu("linear", frames=2 * FRAMES)
    dark = np.arange(len(dots))[:, None, None] % 8 > 0
    few = np.where(dark, np.median(dots), dots).astype(np.uint16)
    tifffile.imwrite(film, joined(dots, few, "left,right"), photometric="minisblack")
    report = _report(film, "left,right", "--drift", "auto")
    left, right = (each["drift"] for each in report["channels"].values())
    assert left["corrected"]
    assert {**left, "elapsed_s": 0} == {**right, "elapsed_s": 0}


def _known(path: Path, y_nm: float, x_nm: float) -> Path:
    drift = Drift(np.array([0.0]), np.array([[y_nm], [x_nm]]))
    write_drift(path, drift, range(FRAMES))
    return path


def test_a_drift_from_a_file_moves_both(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right", "none")
    for name, y_nm, x_nm in (("still", 0.0, 0.0), ("moved", -12.5, 25.0)):
        known = _known(tmp_path / f"{name}.csv", y_nm, x_nm)
        _report(film, "left,right", "--drift", known, "-o", tmp_path / f"{name}.tif")
    still, moved = (_planes(film, f"{name}.tif") for name in ("still", "moved"))
    np.testing.assert_array_equal(moved[:, 1:, :-2], still[:, :-1, 2:])
    assert moved.sum(axis=(1, 2)).min() > FRAMES


class _Ends(ComputingTransport):
    """Fails after this many requests."""

    def __init__(self, answered: int) -> None:
        super().__init__()
        self._left = answered

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        self._left -= 1
        if self._left < 0:
            raise InferenceError("the server refused the chunk")
        return super().sum_chunk(request)


def test_an_interrupted_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in the second channel."""
    film = _film(tmp_path / "film.tif", "left,right")
    drift = _known(tmp_path / "known.csv", 30.0, -40.0)
    asked = ("--drift", drift, "--resolution", "--chunk-frames", "40", "--in-flight", "1")
    _report(film, "left,right", *asked, "-o", tmp_path / "whole.tif")
    take_for_local(monkeypatch, _Ends(6))
    run = (film, "--channels", "left,right", *OPTIONS, *asked)
    assert submit(*run).exit_code == 6
    take_for_local(monkeypatch, ComputingTransport())
    assert submit(*run, "--resume").exit_code == 0
    for kept, whole in (("", ".tif"), (".uncorrected", ".uncorrected.ome.tif")):
        resumed = _planes(film, f"film.sr{kept}.ome.tif")
        np.testing.assert_array_equal(resumed, _planes(film, f"whole{whole}"))


def test_each_channel_has_its_resolution_error_map_and_report(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right", "none")
    _report(film, "left,right")
    plain = _planes(film, "film.sr.ome.tif")
    asked = ("--resolution", "--report", "--channel-names", "mEos,Alexa647", "--overwrite")
    report = _report(film, "left,right", *asked, "--drift", "auto")
    assert sum("so the image is not corrected" in note for note in report["notes"]) == 1
    np.testing.assert_array_equal(_planes(film, "film.sr.ome.tif"), plain)
    endings = (
        *("error.tif", "report.html", "report.json"),
        *("resolution.csv", "resolution.png", "resolution.tif", "widefield.tif"),
    )
    own = [f"film.sr.{half}.{ending}" for half in ("left", "right") for ending in endings]
    both = ("film.tif", "film.sr.ome.tif", "film.sr.png", "film.sr.drift.csv", "film.sr.drift.png")
    assert names(tmp_path) == sorted([*both, *own])
    schema = json.loads(REPORT_SCHEMA_FILE.read_text(encoding="utf-8"))
    for half, (name, facts) in zip(("left", "right"), report["channels"].items(), strict=True):
        assert facts["resolution"]["ring_correlation_nm"] > 0
        assert facts["resolution"]["curve"].endswith(f"film.sr.{half}.resolution.csv")
        numbers = json.loads((tmp_path / f"film.sr.{half}.report.json").read_text())
        jsonschema.validate(numbers, schema)
        assert numbers["report"]["channel"] == name
        assert any("is not registered" in note for note in numbers["report"]["notes"])
        page = (tmp_path / f"film.sr.{half}.report.html").read_text(encoding="utf-8")
        assert f"<h1>film.tif, {name}</h1>" in page
        assert page.count('alt="Both channels" src="data:image/png;base64,') == 1
    assert str(tmp_path) not in json.dumps(described(tmp_path / "film.sr.ome.tif"))


def test_text_for_people(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right")
    drift = _known(tmp_path / "known.csv", 30.0, -40.0)
    run = (film, "--channels", "left,right", *OPTIONS, "--drift", drift, "--resolution")
    lines = submit(*run, "--error-map").stdout.splitlines()
    assert sum(line.startswith("drift    ") for line in lines) == 1
    for start in ("resolved left: ", "resolved right: ", "checked  left: ", "checked  right: "):
        assert sum(line.startswith(start) for line in lines) == 1
