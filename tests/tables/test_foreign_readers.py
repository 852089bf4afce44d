"""Picasso's, Locan's and napari-storm's own readers find our molecules where we do.

They need libraries that exclude this project's own, so they are in an environment of their own:
``make readers``, or name its Python in ``RECON_READERS_PYTHON``.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.places import ROOT
from fakes.tables import FULL, IN_ADU, IN_PHOTONS, PLACES, random_rows, read_back, write
from smlm_pipeline.tables.rows import Rows

PYTHON = Path(os.environ.get("RECON_READERS_PYTHON", ROOT / ".venv-readers/bin/python"))

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="needs Picasso, Locan and napari-storm: make readers"
)

PIXEL_NM = 100.0

PICASSO = """
from picasso import io
locs, info = io.load_locs({path!r})
columns = {{name: locs[name].tolist() for name in locs.columns}}
columns["pixel_nm"] = io.lib.get_from_metadata(info, "Pixelsize")
"""
PICASSO_OF_THUNDERSTORM = """
from picasso import io
locs, info = io.import_ts({path!r}, 100)
columns = {{name: locs[name].tolist() for name in locs.columns}}
"""
LOCAN = """
from locan.locan_io.locdata import {module}_io
data = {module}_io.load_{module}_file({path!r}).data
columns = {{name: data[name].tolist() for name in data.columns}}
"""
NAPARI_STORM = """
from napari_storm.localization_dataset_types.storm_class import StormDataClass
found = StormDataClass().load_{kind}({path!r}, "table")
found = found[0] if isinstance(found, list) else found
locs = found.locs_all
columns = {{name: locs[name].tolist() for name in locs.dtype.names}}
columns["pixel_nm"] = found.pixelsize_nm
"""
PICASSO_WRITES = """
from picasso import io
locs, info = io.load_locs({path!r})
io.save_locs({other!r}, locs, info)
columns = {{}}
"""


def _read(code: str, **values: object) -> dict[str, Any]:
    """The columns that a foreign reader finds."""
    text = {name: str(value) for name, value in values.items()}
    ending = "\nimport json, sys\nsys.stdout.write('\\n' + json.dumps(columns))"
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", code.format(**text) + ending],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr
    columns: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return columns


@pytest.fixture(scope="module")
def rows() -> Rows:
    return random_rows(400, PLACES, seed=9)


def _same_places(found: dict[str, Any], rows: Rows, place_nm: Callable[[str], Any]) -> None:
    for axis in "xy":
        np.testing.assert_allclose(place_nm(axis), rows[f"{axis}_nm"], atol=2e-3, err_msg=axis)


def test_picasso(rows: Rows, tmp_path: Path) -> None:
    found = _read(PICASSO, path=write(tmp_path / "a.hdf5", rows))
    assert found["pixel_nm"] == PIXEL_NM
    assert found["frame"] == rows["frame"].tolist()
    _same_places(found, rows, lambda axis: (np.array(found[axis]) + 0.5) * PIXEL_NM)
    for axis in "xy":
        uncertainty_nm = np.array(found[f"lp{axis}"]) * PIXEL_NM
        np.testing.assert_allclose(uncertainty_nm, rows[f"uncertainty_{axis}_nm"], rtol=1e-5)
    np.testing.assert_allclose(found["probability"], rows["probability"], rtol=1e-5)


def test_picasso_finds_photons_and_background(tmp_path: Path) -> None:
    rows = random_rows(100, IN_PHOTONS, seed=5)
    found = _read(PICASSO, path=write(tmp_path / "a.hdf5", rows))
    np.testing.assert_allclose(found["photons"], rows["photons"], rtol=1e-5)
    np.testing.assert_allclose(found["bg"], rows["background_photons"], rtol=1e-5)


def test_locan_finds_photons(tmp_path: Path) -> None:
    rows = random_rows(100, IN_PHOTONS, seed=6)
    found = _read(LOCAN, module="thunderstorm", path=write(tmp_path / "a.csv", rows))
    np.testing.assert_allclose(found["intensity"], rows["photons"], atol=2e-3)
    found = _read(LOCAN, module="decode", path=write(tmp_path / "a.h5", rows))
    np.testing.assert_allclose(found["intensity"], rows["photons"], rtol=1e-5)


@pytest.mark.parametrize("columns", [IN_ADU, IN_PHOTONS], ids=["adu", "photons"])
def test_locan_finds_the_places_of_our_tables(tmp_path: Path, columns: tuple[str, ...]) -> None:
    rows = random_rows(100, columns, seed=7)
    found = _read(LOCAN, module="thunderstorm", path=write(tmp_path / "a.csv", rows))
    _same_places(found, rows, lambda axis: found[f"position_{axis}"])


def test_picassos_own_file_comes_back(rows: Rows, tmp_path: Path) -> None:
    """Picasso reads ours, writes its own, and we read that."""
    ours, theirs = write(tmp_path / "a.hdf5", rows), tmp_path / "b.hdf5"
    _read(PICASSO_WRITES, path=ours, other=theirs)
    found, facts = read_back(theirs)
    assert (facts.pixel_size_nm, facts.width_px, facts.frame_count) == (100, 64, 20)
    for name in PLACES:
        np.testing.assert_allclose(found[name], rows[name], rtol=1e-5, atol=2e-3, err_msg=name)


def test_picasso_leaves_out_the_first_half_pixel(tmp_path: Path) -> None:
    """Its own rule: there, its coordinates are negative (docs/tables.md)."""
    rows = random_rows(50, PLACES)
    rows["x_nm"][:10] = 30
    found = _read(PICASSO, path=write(tmp_path / "a.hdf5", rows))
    assert len(found["x"]) == 40


def test_picasso_takes_thunderstorms_csv_with_all_its_columns_half_a_pixel_off(
    tmp_path: Path,
) -> None:
    """Its import adds no half pixel: convert to .hdf5 with ``molecules`` instead."""
    rows = random_rows(50, FULL)
    rows["photons"][:], rows["background_photons"][:] = 900, 12
    found = _read(PICASSO_OF_THUNDERSTORM, path=write(tmp_path / "a.csv", rows))
    np.testing.assert_allclose(np.array(found["x"]) * PIXEL_NM, rows["x_nm"], atol=2e-3)


def test_locan_reads_thunderstorms_csv(rows: Rows, tmp_path: Path) -> None:
    found = _read(LOCAN, module="thunderstorm", path=write(tmp_path / "a.csv", rows))
    assert found["frame"] == (rows["frame"] + 1).tolist()
    _same_places(found, rows, lambda axis: found[f"position_{axis}"])
    squares = [rows[f"uncertainty_{axis}_nm"] ** 2 for axis in "xy"]
    both_nm = np.sqrt(sum(squares) / 2)
    np.testing.assert_allclose(found["uncertainty_x"], both_nm, atol=2e-3)


def test_locan_reads_decodes_file_with_rows_as_x(rows: Rows, tmp_path: Path) -> None:
    """DECODE's x counts rows; Locan takes it as it is."""
    found = _read(LOCAN, module="decode", path=write(tmp_path / "a.h5", rows))
    assert found["frame"] == rows["frame"].tolist()
    swapped = {"x": "y", "y": "x"}
    _same_places(
        found,
        rows,
        lambda axis: (np.array(found[f"position_{swapped[axis]}"]) + 0.5) * PIXEL_NM,
    )


@pytest.mark.parametrize("columns", [IN_ADU, IN_PHOTONS, FULL], ids=["adu", "photons", "full"])
@pytest.mark.parametrize(("kind", "half_px"), [("csv", 0.0), ("hdf5", 0.5)])
def test_napari_storm(tmp_path: Path, columns: tuple[str, ...], kind: str, half_px: float) -> None:
    rows = random_rows(400, columns, seed=4)
    found = _read(NAPARI_STORM, kind=kind, path=write(tmp_path / f"a.{kind}", rows))
    assert found["pixel_nm"] == (1 if kind == "csv" else PIXEL_NM)
    first = 1 if kind == "csv" else 0
    assert np.array(found["frame_number"]).tolist() == (rows["frame"] + first).tolist()
    _same_places(
        found,
        rows,
        lambda axis: (np.array(found[f"{axis}_pos_pixels"]) + half_px) * found["pixel_nm"],
    )
