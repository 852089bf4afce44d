"""ThunderSTORM's table of positions: written as it writes it, read in any form of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.places import SHARED_DATA
from smlm_pipeline.errors import FilmError
from smlm_training.simulation.positions import COLUMNS, PositionsTable, read_positions
from smlm_training.simulation.simulate import Emitters

THUNDERSTORM = SHARED_DATA / "thunderstorm" / "positions.csv"
PIXEL_NM = 110.0

real_table = pytest.mark.skipif(
    not THUNDERSTORM.exists(), reason="../shared/data/thunderstorm is not there"
)


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
        table = PositionsTable(
            stream,
            height_px=8,
            width_px=12,
            pixel_size_nm=PIXEL_NM,
            offset_photons=50.0,
            background_photons=background_photons,
        )
        for block in blocks:
            table.add(block)
    assert (table.frames, table.molecules) == (3 * len(blocks), 3 * len(blocks))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    positions = read_positions(_written(tmp_path / "positions.csv", _emitters()))
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
        ",".join(f'"{column}"' for column in COLUMNS),
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


@real_table
def test_header_is_that_of_thunderstorm(tmp_path: Path) -> None:
    ours = _written(tmp_path / "positions.csv", _emitters()).read_text().splitlines()
    theirs = THUNDERSTORM.read_text().splitlines()
    assert ours[0] == theirs[0]
    assert ('"' in ours[1], '"' in theirs[1]) == (False, False)


@real_table
def test_table_of_thunderstorm_is_read() -> None:
    positions = read_positions(THUNDERSTORM)
    assert len(positions.frame) == 4956
    assert np.unique(positions.frame).tolist() == list(range(20))
    for positions_nm in (positions.y_nm, positions.x_nm):
        assert positions_nm.min() >= 0
        assert positions_nm.max() < 6400


def test_columns_in_any_order_with_others_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_text('y [nm],"z [nm]","frame",x [nm]\r\n20,0,3.0,10\r\n', encoding="utf-8-sig")
    positions = read_positions(path)
    found = (positions.frame[0], positions.y_nm[0], positions.x_nm[0])
    assert found == (2, 20, 10)


def test_table_without_molecules_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_text('"frame","x [nm]","y [nm]"\n')
    positions = read_positions(path)
    assert (positions.frame.size, positions.y_nm.size, positions.x_nm.size) == (0, 0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"no column frame, y \[nm\], x \[nm\]"),
        (b"one line of text\n", "no column frame"),
        (b"id,frame,x,y\n1,1,2,3\n", r"no column y \[nm\], x"),
        (b"frame,x [nm],y [nm]\n1,2\n", "TypeError"),
        (b"frame,x [nm],y [nm]\n1,2,three\n", "ValueError: could not convert"),
        (b"frame,x [nm],y [nm]\n1,2,nan\n", "ValueError: a number is not finite"),
        (b"frame,x [nm],y [nm]\n1,inf,2\n", "ValueError: a number is not finite"),
        (b"II*\x00\x08\x00\x00\x00\xff\xfe\x80", "UnicodeDecodeError"),
        (b"frame,x [nm],y [nm]\n1,2," + b"9" * 200_000 + b"\n", "Error: field larger"),
    ],
    ids=["empty", "text", "columns", "short row", "word", "nan", "inf", "binary", "long field"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(FilmError, match=rf"table\.csv is not a ThunderSTORM table .*{reason}"):
        read_positions(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"FileNotFoundError.*expected a CSV file"):
        read_positions(tmp_path / "none.csv")
