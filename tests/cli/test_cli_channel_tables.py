"""``submit --channels --molecules``: a table of each channel, at the places of the first one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import names, one_line, submit, take_for_local
from fakes.tables import read_back
from fakes.transports import ComputingTransport
from smlm_bench.channels.films import Geometry, Sample, bead_film, two_channel_film

GEOMETRY = Geometry((2.0, -3.0), 1.0)
QUIET = ("--pixel-size-nm", "100", "--zoom", "4", "--quiet")


@pytest.fixture(autouse=True)
def _transport(monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())


def _places(table: Path) -> NDArray[np.float64]:
    rows, _ = read_back(table)
    return np.stack([rows["frame"], rows["y_nm"], rows["x_nm"]])


@pytest.mark.parametrize("split", ["left,right", "top,bottom", "alternating"])
def test_tables_lie_over_each_other_as_the_images_do(tmp_path: Path, split: str) -> None:
    film, beads = tmp_path / "film.tif", tmp_path / "beads.tif"
    sample = Sample("", 1.0, per_frame=8, frames=40)
    tifffile.imwrite(film, two_channel_film(sample, split, GEOMETRY, edge_px=48))
    tifffile.imwrite(beads, bead_film(split, GEOMETRY, edge_px=48))
    first, second = ("first", "second") if split == "alternating" else split.split(",")
    plain, moved = tmp_path / "plain.csv", tmp_path / "moved.csv"
    run = (film, "--channels", split, *QUIET)
    off = ("--registration", "off", "--molecules", plain, "-o", tmp_path / "plain.tif")
    assert submit(*run, *off).exit_code == 0
    by_beads = ("--registration-film", beads, "--molecules", moved, "-o", tmp_path / "moved.tif")
    assert submit(*run, *by_beads).exit_code == 0
    tables = {
        path.stem: [path.with_name(f"{path.stem}.{half}.csv") for half in (first, second)]
        for path in (plain, moved)
    }
    np.testing.assert_array_equal(_places(tables["plain"][0]), _places(tables["moved"][0]))
    before, after = _places(tables["plain"][1]), _places(tables["moved"][1])
    np.testing.assert_array_equal(before[0], after[0])
    there = GEOMETRY.affine(48, 48).at(after[1:])
    np.testing.assert_allclose(there, before[1:], atol=4)
    assert before[1:].min() > -200
    assert before[1:].max() < 5000
    if split == "alternating":
        assert set(before[0] % 2) == {1}


def test_tables_that_exist_are_kept(tmp_path: Path) -> None:
    film = tmp_path / "film.tif"
    sample = Sample("", 1.0, frames=10)
    tifffile.imwrite(film, two_channel_film(sample, "left,right", GEOMETRY, edge_px=48))
    (tmp_path / "table.right.csv").write_text("mine")
    run = (film, "--channels", "left,right", *QUIET)
    refused = submit(*run, "--molecules", tmp_path / "table.csv")
    assert "table.right.csv exists" in one_line(refused)
    assert names(tmp_path) == ["film.tif", "table.right.csv"]
