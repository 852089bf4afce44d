"""``recon-client molecules``: light in ADU becomes photons by the camera, or a note says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from fakes.command_line import invoke, one_line
from fakes.matched_cameras import write_matched
from fakes.tables import IN_ADU, IN_PHOTONS, random_rows, read_back, write

BY_HAND = ("--gain-adu-per-photon", "5", "--offset-adu", "0.5")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "a.csv", random_rows(200, IN_ADU))


@pytest.mark.parametrize("ending", [".csv", ".hdf5", ".h5", ".parquet"])
def test_light_is_in_photons_by_the_camera(table: Path, ending: str) -> None:
    path = table.with_name(f"b{ending}")
    done = invoke("molecules", table, "-o", path, "--pixel-size-nm", "100", *BY_HAND, "--json")
    assert done.exit_code == 0, done.stderr
    found, _ = read_back(path)
    rows, _ = read_back(table)
    rows = rows.take(np.lexsort([rows["x_nm"], rows["y_nm"], rows["frame"]]))
    np.testing.assert_allclose(found["photons"], rows["intensity_adu"] / 5, rtol=1e-3, atol=1e-3)
    beneath = (rows["background_adu"] - 0.5) / 5
    np.testing.assert_allclose(found["background_photons"], beneath, rtol=1e-3, atol=1e-3)
    assert {"photons", "background_photons"} <= set(json.loads(done.stdout)["columns"])
    assert "no light" not in done.stderr


def test_the_camera_of_match_is_taken_and_stated(table: Path, tmp_path: Path) -> None:
    mine, path = write_matched(tmp_path / "mine.json"), tmp_path / "b.parquet"
    done = invoke("molecules", table, "-o", path, "--camera", mine)
    assert done.exit_code == 0, done.stderr
    assert "photons are by the camera in mine.json" in done.stderr
    assert set(IN_PHOTONS) <= set(read_back(path)[0].names)
    stated = json.loads(pyarrow.parquet.read_schema(path).metadata[b"smlm-recon"])
    assert '"film": "beads.nd2"' in json.dumps(stated)


@pytest.mark.parametrize("ending", [".hdf5", ".h5", ".smlm.csv"])
def test_light_that_is_left_out_is_named(table: Path, ending: str) -> None:
    path = table.with_name(f"b{ending}")
    done = invoke("molecules", table, "-o", path, "--pixel-size-nm", "100", "--json")
    facts = json.loads(done.stdout)
    assert not {"intensity_adu", "background_adu"} & set(facts["columns"])
    again = invoke("molecules", table, "-o", path, "--pixel-size-nm", "100", "--overwrite")
    said = again.stderr
    assert f"b{ending} will have no light and no background" in said
    assert "--gain-adu-per-photon" in said


def test_a_table_that_keeps_its_light_gets_no_note(table: Path) -> None:
    for name in ("b.csv", "b.parquet", "b.png"):
        done = invoke("molecules", table, "-o", table.with_name(name))
        assert (done.exit_code, done.stderr) == (0, "")


def test_a_gain_without_an_offset_leaves_the_background_out(table: Path) -> None:
    path = table.with_name("b.csv")
    done = invoke("molecules", table, "-o", path, "--gain-adu-per-photon", "5")
    assert "b.csv will have no background" in done.stderr
    found, _ = read_back(path)
    assert "photons" in found.names
    assert not {"background_photons", "background_adu"} & set(found.names)


def test_an_offset_above_the_level_is_named(table: Path) -> None:
    asked = ("--gain-adu-per-photon", "5", "--offset-adu", "500")
    done = invoke("molecules", table, "-o", table.with_name("b.csv"), *asked)
    assert "the offset of 500 ADU is above the level of the tables' frames" in done.stderr


def test_rows_are_selected_by_photons_of_the_camera(table: Path) -> None:
    path = table.with_name("b.csv")
    refused = invoke("molecules", table, "-o", path, "--photons-min", "3")
    assert refused.exit_code == 2
    assert "expected the camera, since the table is in ADU" in one_line(refused)
    done = invoke("molecules", table, "-o", path, "--photons-min", "3", *BY_HAND)
    assert done.exit_code == 0, done.stderr
    found, _ = read_back(path)
    rows, _ = read_back(table)
    assert len(found) == (rows["intensity_adu"] >= 15).sum()


def test_values_in_photons_stay_and_others_are_converted(tmp_path: Path, table: Path) -> None:
    other = write(tmp_path / "p.csv", random_rows(50, IN_PHOTONS, seed=1))
    done = invoke("molecules", table, other, "-o", tmp_path / "b.csv", *BY_HAND)
    assert done.exit_code == 0, done.stderr
    found, _ = read_back(tmp_path / "b.csv")
    rows = [read_back(path)[0] for path in (table, other)]
    light = np.concatenate([rows[0]["intensity_adu"] / 5, rows[1]["photons"]])
    np.testing.assert_allclose(np.sort(found["photons"]), np.sort(light), atol=1e-3)


def test_a_camera_for_a_table_in_photons_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "p.csv", random_rows(50, IN_PHOTONS))
    refused = invoke("molecules", table, "-o", tmp_path / "b.csv", *BY_HAND)
    assert refused.exit_code == 2
    assert "--gain-adu-per-photon turns light in ADU into photons" in one_line(refused)
