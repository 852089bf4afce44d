"""``submit --molecules``: the table beside the image, as asked, whole or not at all."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.command_line import names, one_line, submit, take_for_local, write_film
from fakes.films import spots_adu
from fakes.image_files import described
from fakes.tables import read_back
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, OutputError

IN_TURN = ("--chunk-frames", "2", "--in-flight", "1")


class _FailsOnce(ComputingTransport):
    """Refuses requests of frame 10 until it is repaired."""

    broken = True

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if self.broken and request.label.startswith("frames 10 "):
            raise InferenceError("the server refused the chunk")
        return super().sum_chunk(request)


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    take_for_local(monkeypatch, ComputingTransport())
    (tmp_path / "run").mkdir()
    return write_film(tmp_path / "run" / "film.tif")


def test_the_table_is_written_and_reported(film: Path) -> None:
    table = film.with_name("table.csv")
    done = submit(film, "--molecules", table, "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    rows, _ = read_back(table)
    assert len(rows) > 20
    assert report["molecules"] == {
        "file": str(table),
        "rows": len(rows),
        "probability_min": 0.5,
    }
    stated = described(film.with_name("film.sr.ome.tif"))["molecules"]
    assert stated == {**report["molecules"], "file": "table.csv"}
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif", "table.csv"]
    assert rows["frame"].tolist() == sorted(rows["frame"])
    assert rows["probability"].min() >= 0.5


def test_the_terminal_names_the_table(film: Path) -> None:
    table = film.with_name("table.csv")
    text = submit(film, "--molecules", table, "--overwrite").stdout
    rows, _ = read_back(table)
    assert f"table    {table}  ({len(rows):,} molecules)\n" in text
    assert submit(film, "--overwrite", "--json").exit_code == 0
    assert json.loads(submit(film, "--overwrite", "--json").stdout)["molecules"] is None


def test_the_plan_names_the_table(film: Path) -> None:
    table = film.with_name("table.csv")
    plan = submit(film, "--molecules", table, "--dry-run")
    assert plan.stdout.endswith(f"film.sr.ome.tif and {table}\n")
    stated = json.loads(submit(film, "--molecules", table, "--dry-run", "--json").stdout)
    assert stated["molecules"] == str(table)
    refused = submit(film, "--molecules", film.with_name("table.txt"), "--dry-run", "--quiet")
    assert refused.exit_code == 2


def test_light_is_in_photons_where_the_gain_is_given(film: Path) -> None:
    """Else in ADU; the background needs the offset too. An EMCCD's gain is one number."""
    given = {
        "adu": (),
        "gain": ("--gain-adu-per-photon", "5"),
        "all": ("--gain-adu-per-photon", "5", "--offset-adu", "90"),
    }
    tables, reports = {}, {}
    for name, options in given.items():
        path = film.with_name(f"{name}.csv")
        done = submit(film, "--overwrite", "--molecules", path, *options, "--json")
        assert done.exit_code == 0
        tables[name], reports[name] = read_back(path)[0], json.loads(done.stdout)["molecules"]
    adu, gain, both = tables.values()
    assert set(gain.names) - set(adu.names) == {"photons", "uncertainty_photons"}
    assert set(both.names) - set(gain.names) == {"background_photons"}
    assert not {name for name in both.names if "adu" in name}
    np.testing.assert_allclose(gain["photons"], adu["intensity_adu"] / 5, atol=1e-3)
    np.testing.assert_allclose(
        gain["uncertainty_photons"], adu["uncertainty_intensity_adu"] / 5, atol=1e-3
    )
    np.testing.assert_allclose(
        both["background_photons"], (adu["background_adu"] - 90) / 5, atol=1e-3
    )
    assert 4 <= (adu["intensity_adu"] / _scale_adu(film)).min() <= 24
    assert "gain_adu_per_photon" not in reports["adu"]
    assert (reports["all"]["gain_adu_per_photon"], reports["all"]["offset_adu"]) == (5, 90)


def _scale_adu(film: Path) -> float:
    """The film's scale, in which the network states intensities."""
    stated: float = described(film.with_name("film.sr.ome.tif"))["scale_adu"]
    return stated


@pytest.mark.parametrize("cut", [(), ("--chunk-frames", "3", "--in-flight", "3")])
def test_cutting_does_not_matter(film: Path, cut: tuple[str, ...]) -> None:
    first, second = film.with_name("a.csv"), film.with_name("b.csv")
    assert submit(film, "--molecules", first, *IN_TURN).exit_code == 0
    assert submit(film, "--molecules", second, "--overwrite", *cut).exit_code == 0
    assert first.read_bytes() == second.read_bytes()


def test_rows_count_as_the_films_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --frames and --roi, too; tiles share the field without loss or doubles."""
    take_for_local(monkeypatch, ComputingTransport())
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, spots_adu(20, 104, 120, spots=40), photometric="minisblack")
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    levels = ("--pixel-size-nm", "160")
    assert submit(path, "--molecules", whole, *levels, *IN_TURN).exit_code == 0
    assert (
        submit(path, "--molecules", part, *levels, "--overwrite", "--tile-px", "64").exit_code == 0
    )
    found, tiled = read_back(whole)[0], read_back(part)[0]
    np.testing.assert_array_equal(found["frame"], tiled["frame"])
    np.testing.assert_allclose(found["x_nm"], tiled["x_nm"], atol=2e-3)
    roi = ("--frames", "4:18:3", "--roi", "20,10,80,90")
    assert submit(path, "--molecules", part, *levels, *roi, "--overwrite").exit_code == 0
    cut, _ = read_back(part)
    assert set(cut["frame"]) == {4, 7, 10, 13, 16}
    assert 160 * 20 <= cut["x_nm"].min() < cut["x_nm"].max() < 160 * 100
    assert 160 * 10 <= cut["y_nm"].min() < cut["y_nm"].max() < 160 * 100


def test_an_interrupted_run_continues_with_its_table(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, table = film.parent.parent / "undisturbed.csv", film.with_name("table.hdf5")
    assert submit(film, "--molecules", table, *IN_TURN).exit_code == 0
    expected, _ = read_back(table)
    assert not undisturbed.exists()
    transport = _FailsOnce()
    take_for_local(monkeypatch, transport)
    asked = ("--molecules", table, *IN_TURN, "--quiet")
    assert submit(film, *asked, "--overwrite").exit_code == 6
    for path in film.parent.glob("table.*"):  # those of the run before
        path.unlink()
    assert "film.sr.checkpoint.molecules" in names(film.parent)
    other = submit(film, *IN_TURN, "--quiet", "--resume")
    assert other.exit_code == 9
    assert "expected sum.npy, the parts of this run" in other.stderr
    transport.broken = False
    assert submit(film, *asked, "--resume").exit_code == 0
    found, facts = read_back(table)
    for name in expected.names:
        np.testing.assert_array_equal(found[name], expected[name])
    assert (facts.width_px, facts.height_px, facts.frame_count) == (32, 32, 16)
    assert names(film.parent) == [
        *("film.sr.ome.tif", "film.sr.png", "film.tif", "table.hdf5", "table.yaml"),
    ]


def test_missing_chunks_are_missing_from_the_table(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _FailsOnce())
    table = film.with_name("table.csv")
    assert submit(film, "--molecules", table, *IN_TURN, "--allow-partial").exit_code == 0
    rows, _ = read_back(table)
    assert set(rows["frame"]) == set(range(16)) - {10, 11}


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("table.txt",), 2, "expected a name in one of .parquet"),
        (("none/table.csv",), 7, "there is no such folder"),
        (("table.csv", "--molecules-probability", "0.05"), 2, "expected 0.1 to 1"),
        (("table.csv", "--model", "reconstruction_map"), 2, "expected a network that answers with"),
        (("table.csv", "--gain-adu-per-photon", "0"), 2, "expected a positive number"),
        (("table.csv", "--offset-adu", "100"), 2, "without --gain-adu-per-photon; expected both"),
        (("film.csv",), 7, "film.csv exists; expected a new name: choose one with --molecules"),
        (("film.hdf5",), 7, "film.yaml exists; expected a new name"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_run(
    film: Path, options: tuple[str, ...], code: int, complaint: str
) -> None:
    film.with_name("film.csv").touch()
    film.with_name("film.yaml").touch()
    table, *rest = options
    refused = submit(film, "--quiet", "--molecules", film.parent / table, *rest)
    assert refused.exit_code == code
    assert complaint in one_line(refused)
    assert names(film.parent) == ["film.csv", "film.tif", "film.yaml"]


def test_a_gain_without_a_table_is_refused(film: Path) -> None:
    refused = submit(film, "--quiet", "--gain-adu-per-photon", "5")
    assert refused.exit_code == 2
    assert "expected --molecules FILE too, or no gain" in one_line(refused)


def test_a_missing_package_is_named_before_the_run(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = importlib.import_module

    def missing(name: str) -> object:
        if name.endswith("hdf5_files"):
            raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    refused = submit(film, "--quiet", "--molecules", film.with_name("table.h5"))
    assert refused.exit_code == 2
    assert "pip install 'smlm-recon[hdf5]'" in one_line(refused)


def test_without_room_for_the_table_the_image_is_kept(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("table.csv cannot be written: the disk is full")

    monkeypatch.setattr("smlm_pipeline.submission.submit.write_table", full)
    result = submit(film, "--quiet", "--molecules", film.with_name("table.csv"))
    assert result.exit_code == 7
    assert names(film.parent) == [
        *("film.sr.checkpoint", "film.sr.checkpoint.molecules", "film.sr.ome.tif"),
        *("film.sr.png", "film.tif"),
    ]
