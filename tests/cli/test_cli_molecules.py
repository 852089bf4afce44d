"""``recon-client molecules``: convert, filter, link and draw tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import Result

from fakes.command_line import invoke, names, one_line
from fakes.image_files import described
from fakes.tables import FULL, PLACES, random_rows, read_back, rows_at, write
from smlm_pipeline.tables.rows import TableFacts


def _molecules(*arguments: str | Path) -> Result:
    return invoke("molecules", *arguments)


def _facts(*arguments: str | Path) -> dict[str, Any]:
    done = _molecules(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


@pytest.mark.parametrize("source", [".csv", ".hdf5", ".h5"])
@pytest.mark.parametrize("target", [".csv", ".hdf5", ".h5", ".smlm.csv"])
def test_tables_are_converted(tmp_path: Path, source: str, target: str) -> None:
    rows = random_rows(3000, PLACES)
    path = tmp_path / f"out{target}"
    size = ("--pixel-size-nm", "100")
    facts = _facts(write(tmp_path / f"in{source}", rows), "-o", path, *size)
    assert (facts["rows_read"], facts["rows_kept"], facts["molecules"]) == (3000, 3000, 3000)
    found, _ = read_back(path)
    order = np.lexsort([rows["x_nm"], rows["y_nm"], rows["frame"]])
    for name in set(PLACES) & set(found.names):
        np.testing.assert_allclose(found[name], rows[name][order], rtol=1e-5, atol=5e-3)


def test_frames_come_in_order_from_any_table(tmp_path: Path) -> None:
    rows = random_rows(500, PLACES)
    shuffled = rows.take(np.random.default_rng(1).permutation(500))
    _facts(write(tmp_path / "a.csv", shuffled), "-o", tmp_path / "b.csv")
    found, _ = read_back(tmp_path / "b.csv")
    np.testing.assert_array_equal(found["frame"], rows["frame"])


def test_rows_that_meet_all_conditions_are_kept(tmp_path: Path) -> None:
    rows = random_rows(2000, FULL)
    kept = (rows["probability"] >= 0.7) & (rows["photons"] >= 5) & (rows["photons"] <= 25)
    kept &= (rows["uncertainty_x_nm"] <= 20) & (rows["uncertainty_y_nm"] <= 20)
    kept &= (rows["frame"] >= 3) & (rows["frame"] < 15) & (rows["frame"] % 2 == 1)
    kept &= (rows["x_nm"] >= 1000) & (rows["x_nm"] < 5000) & (rows["y_nm"] < 4000)
    facts = _facts(
        write(tmp_path / "a.csv", rows),
        *("-o", tmp_path / "b.csv", "--probability-min", "0.7", "--photons-min", "5"),
        *("--photons-max", "25", "--uncertainty-max-nm", "20", "--frames", "3:15:2"),
        *("--region-nm", "1000,0,4000,4000"),
    )
    assert 0 < facts["rows_kept"] == kept.sum() < 200
    found, _ = read_back(tmp_path / "b.csv")
    np.testing.assert_allclose(np.sort(found["x_nm"]), np.sort(rows["x_nm"][kept]), atol=1e-3)


def test_blinks_are_joined(tmp_path: Path) -> None:
    rows = rows_at((0, 100, 50), (1, 110, 50), (3, 105, 50), (3, 300, 50))
    table = write(tmp_path / "a.csv", rows)
    facts = _facts(table, "-o", tmp_path / "b.csv", "--link-nm", "20")
    assert facts["molecules"] == 3
    facts = _facts(
        table, "-o", tmp_path / "b.csv", "--link-nm", "20", "--link-dark-frames", "1", "--overwrite"
    )
    found, _ = read_back(tmp_path / "b.csv")
    assert found["detections"].tolist() == [3, 1]
    text = _molecules(table, "-o", tmp_path / "b.csv", "--link-nm", "20", "--overwrite").stdout
    assert "3 molecules (4 rows read, 4 kept, 1 joined to others)" in text


def test_several_tables_are_joined(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", rows_at((0, 1, 1), (4, 2, 2)))
    second = write(tmp_path / "b.csv", random_rows(2, PLACES).take(slice(0, 1)))
    _facts(first, second, "-o", tmp_path / "c.csv")
    found, _ = read_back(tmp_path / "c.csv")
    assert len(found) == 3
    assert np.isnan(found["probability"]).sum() == 2
    _facts(first, first, "-o", tmp_path / "c.csv", "--consecutive", "--overwrite")
    assert read_back(tmp_path / "c.csv")[0]["frame"].tolist() == [0, 4, 5, 9]


def test_a_table_is_drawn_beside_ours(tmp_path: Path) -> None:
    """In the grid of ``submit``: an eighth of a camera pixel, from the corner of the field."""
    rows = random_rows(2000, PLACES)
    path = tmp_path / "a.ome.tif"
    facts = _facts(write(tmp_path / "a.hdf5", rows), "-o", path)
    assert facts["sr_pixel_nm"] == 12.5
    image = tifffile.imread(path)
    assert image.shape == (48 * 8, 64 * 8)
    expected = np.zeros_like(image)
    pixel = (rows["y_nm"] // 12.5).astype(int), (rows["x_nm"] // 12.5).astype(int)
    np.add.at(expected, pixel, 1)
    assert np.abs(image - expected).sum() <= 4  # float32 may move a place over an edge
    assert described(path)["value"] == "molecules per pixel"
    assert names(tmp_path) == ["a.hdf5", "a.ome.tif", "a.png", "a.yaml"]
    facts = _facts(
        *(tmp_path / "a.hdf5", "-o", tmp_path / "b.png", "--draw", "gaussian"),
        *("--sr-pixel-nm", "20", "--region-nm", "1000,1000,2000,1000"),
    )
    assert (facts["drawing"], facts["region_nm"]) == ("gaussian", [1000, 1000, 2000, 1000])


def test_a_table_without_a_field_is_drawn_up_to_its_last_molecule(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", rows_at((0, 100, 50), (0, 990, 490)))
    _facts(table, "-o", tmp_path / "a.tif")
    image = tifffile.imread(tmp_path / "a.tif")
    assert (image.shape, image.sum()) == ((40, 80), 2)


def test_molecules_at_the_border_are_drawn_and_others_are_counted(tmp_path: Path) -> None:
    """A place on the border of a pixel is in the next one; what is left of the first is nowhere."""
    table = write(tmp_path / "a.csv", rows_at((0, 100, 50), (0, 200, 100), (0, -20, 30)))
    for pixels in ((), ("--pixel-size-nm", "100")):
        facts = _facts(table, "-o", tmp_path / "a.tif", "--overwrite", *pixels)
        assert (facts["molecules"], facts["outside"]) == (3, 1)
        assert tifffile.imread(tmp_path / "a.tif").sum() == 2
    done = invoke("molecules", table, "-o", tmp_path / "b.tif")
    assert "(3 rows read, 3 kept); 1 of them lie outside of the image" in done.stdout


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text('"id","frame","x [nm]","y [nm]","uncertainty_x [nm]","uncertainty_y [nm]"\n')
    facts = _facts(empty, "-o", tmp_path / "a.hdf5", "--pixel-size-nm", "100")
    assert facts["molecules"] == 0
    assert "uncertainty_x_nm" in facts["columns"]


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("-o", "b.csv", "--photons-min", "9"), 2, "needs photons, which the table does not have"),
        (("-o", "b.hdf5"), 2, "give it with --pixel-size-nm"),
        (("-o", "b.txt"), 2, "expected a name in one of"),
        (("-o", "a.csv", "--overwrite"), 2, "would replace a table that is read"),
        (("-o", "old.csv"), 7, "old.csv exists"),
        (("-o", "old.png"), 7, "old.png exists"),
        (("-o", "b.csv", "--link-nm", "0"), 2, "link-nm is 0; expected a number above 0"),
        (("-o", "b.csv", "--region-nm", "1,2,3"), 2, "expected X,Y,W,H in nm"),
        (("-o", "b.csv", "--region-nm", "0,0,-5,3"), 2, "expected X,Y,W,H in nm"),
        (("-o", "b.csv", "--frames", "5"), 2, "expected A:B"),
        (("-o", "b.png", "--probability-min", "1"), 3, "no molecule to draw"),
        (("-o", "b.png", "--sr-pixel-nm", "0.0001"), 2, "choose a larger --sr-pixel-nm"),
        (("none.csv", "-o", "b.csv"), 3, "there is no table"),
        (("old.csv", "-o", "b.csv"), 3, "expected at least frame"),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.csv"), random_rows(50, PLACES), TableFacts(PLACES))
    Path("old.csv").touch()
    Path("old.png").touch()
    before = names(tmp_path)
    refused = _molecules("a.csv", "--quiet", *options)
    assert refused.exit_code == code, refused.stderr
    assert complaint in one_line(refused)
    assert names(tmp_path) == before


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('"frame","x [nm]","y [nm]","chi2","bkgstd [photon]"\n1,5,6,7,8\n')
    done = _molecules(path, "-o", tmp_path / "b.csv")
    assert "a.csv: not read, chi2, bkgstd [photon]" in done.stderr
    assert done.stdout == f"{tmp_path / 'b.csv'}: 1 molecules (1 rows read, 1 kept)\n"


def test_columns_without_any_value_are_left_out(tmp_path: Path) -> None:
    table = write(tmp_path / "a.smlm.csv", rows_at((0, 100, 50)))
    assert _facts(table, "-o", tmp_path / "b.csv")["columns"] == ["frame", "x_nm", "y_nm"]
