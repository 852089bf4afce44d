"""True positions of a simulated film: written as ThunderSTORM's simulator does, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.localise.table_files import THUNDERSTORM_COLUMNS, read_molecules
from smlm_training.simulation.film_files import EmitterTable
from smlm_training.simulation.simulate import Emitters

PIXEL_NM = 110.0


def _emitters() -> Emitters:
    """Three frames: two molecules and one outside; none; one molecule and a free place."""
    y_px = np.array([[1.25, -0.5, 7.999], [0, 0, 0], [3.0, 0.0, 0]])
    x_px = np.array([[0.0, 3.0, 11.5], [0, 0, 0], [6.123456, 2.0, 0]])
    photons = np.array([[900.0, 800.0, 700.0], [0, 0, 0], [1000.5, 0, 0]])
    return Emitters(y_px, x_px, photons, np.full((3, 3), 1.2))


def _written(
    path: Path, *blocks: Emitters, background_photons: float | NDArray[np.float64] = 20.0
) -> Path:
    with path.open("w", newline="") as stream:
        table = EmitterTable(
            stream,
            shape_px=(8, 12),
            pixel_size_nm=PIXEL_NM,
            offset_photons=50.0,
            background_photons=background_photons,
        )
        for block in blocks:
            table.add(block)
    assert (table.frame_count, table.emitter_count) == (3 * len(blocks), 3 * len(blocks))
    return path


def test_emitters_that_are_written_are_read(tmp_path: Path) -> None:
    positions = read_molecules(_written(tmp_path / "positions.csv", _emitters()))
    assert positions.frame.tolist() == [0, 0, 2]
    assert positions.frame.dtype == np.int64
    rounded_nm = 0.5e-5
    expected_y_nm = np.array([1.25, 7.999, 3.0]) * PIXEL_NM
    expected_x_nm = np.array([0.0, 11.5, 6.123456]) * PIXEL_NM
    np.testing.assert_allclose(positions.y_nm, expected_y_nm, rtol=0, atol=rounded_nm)
    np.testing.assert_allclose(positions.x_nm, expected_x_nm, rtol=0, atol=rounded_nm)


def test_written_text(tmp_path: Path) -> None:
    lines = (
        _written(tmp_path / "positions.csv", _emitters()).read_bytes().decode("ascii").split("\n")
    )
    assert lines == [
        ",".join(f'"{column}"' for column in THUNDERSTORM_COLUMNS),
        "1,1,0.00000,137.50000,132.00000,900.00000,50.00000,4.47214",
        "2,1,1265.00000,879.89000,132.00000,700.00000,50.00000,4.47214",
        "3,3,673.58016,330.00000,132.00000,1000.50000,50.00000,4.47214",
        "",
    ]


def test_frames_are_numbered_on_and_each_pixel_has_its_background(tmp_path: Path) -> None:
    background = np.arange(96.0).reshape(8, 12)
    blocks = (_emitters(), _emitters())
    path = _written(tmp_path / "positions.csv", *blocks, background_photons=background)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row[1] for row in rows] == ["1", "1", "3", "4", "4", "6"]
    by_hand = [(1, 0), (7, 11), (3, 6)] * 2  # the pixels they lie in
    assert [row[7] for row in rows] == [f"{background[pixel] ** 0.5:.5f}" for pixel in by_hand]
