"""Tables of positions: every form that is read, and the files that are refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from fakes.places import SHARED_DATA
from smlm_pipeline.errors import FilmError
from smlm_pipeline.localise.table import Molecules
from smlm_pipeline.localise.table_files import (
    THUNDERSTORM_COLUMNS,
    ThunderstormWriter,
    read_molecules,
)

THUNDERSTORM = SHARED_DATA / "thunderstorm" / "positions.csv"

real_table = pytest.mark.skipif(
    not THUNDERSTORM.exists(), reason="../shared/data/thunderstorm is not there"
)


@real_table
def test_header_is_that_of_thunderstorm() -> None:
    stream = io.StringIO()
    ThunderstormWriter(stream)
    theirs = THUNDERSTORM.read_text().splitlines()
    assert stream.getvalue() == theirs[0] + "\n"
    assert '"' not in theirs[1]


def test_rows_are_numbered_on(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    one = np.ones(2)
    with path.open("w", newline="") as stream:
        writer = ThunderstormWriter(stream)
        for first in (0, 3):
            writer.add(
                Molecules(np.array([first, first + 2]), np.array([1.5, 20]), np.array([0, 30.25])),
                sigma_nm=120 * one,
                photons=np.array([900, 700.5]),
                offset_photons=50 * one,
                noise_photons=4 * one,
            )
    assert writer.row_count == 4
    header, *rows = path.read_bytes().decode("ascii").split("\n")
    assert header == ",".join(f'"{column}"' for column in THUNDERSTORM_COLUMNS)
    assert rows == [
        "1,1,0.00000,1.50000,120.00000,900.00000,50.00000,4.00000",
        "2,3,30.25000,20.00000,120.00000,700.50000,50.00000,4.00000",
        "3,4,0.00000,1.50000,120.00000,900.00000,50.00000,4.00000",
        "4,6,30.25000,20.00000,120.00000,700.50000,50.00000,4.00000",
        "",
    ]
    table = read_molecules(path)
    assert table.frame.tolist() == [0, 2, 3, 5]
    assert table.frame.dtype == np.int64
    assert table.y_nm.tolist() == [1.5, 20, 1.5, 20]
    assert table.x_nm.tolist() == [0, 30.25, 0, 30.25]


@real_table
def test_table_of_thunderstorm_is_read() -> None:
    table = read_molecules(THUNDERSTORM)
    assert len(table.frame) == 4956
    assert np.unique(table.frame).tolist() == list(range(20))
    for positions_nm in (table.y_nm, table.x_nm):
        assert positions_nm.min() >= 0
        assert positions_nm.max() < 6400


@pytest.mark.parametrize(
    "text",
    [
        'y [nm],"z [nm]","frame",x [nm]\r\n20,0,3.0,10\r\n',
        "Frame Number,X (nm),Y (nm)\n3,10,20\n\n",
        "id,frame,xnano,ynano\n1,3,10,20\n,,,\n",
        "x_nm,y_nm,frames,x,y\n10,20,3,0.1,0.2\n",
        "frame,x,y\n3,1e1,20\n",
    ],
    ids=["ThunderSTORM", "challenge", "nano", "first name wins", "bare"],
)
def test_columns_by_any_name_in_any_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "positions.csv"
    path.write_text(text, encoding="utf-8-sig")
    table = read_molecules(path)
    columns = (table.frame, table.y_nm, table.x_nm)
    assert [column.tolist() for column in columns] == [[2], [20], [10]]


def test_spreadsheet_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["xnano", "ynano", "Frame"], [10.5, 20, 3], [None, None, None], [11, 21, 4]):
        book.active.append(row)
    book.save(tmp_path / "positions.xlsx")
    table = read_molecules(tmp_path / "positions.xlsx")
    columns = (table.frame, table.y_nm, table.x_nm)
    assert [column.tolist() for column in columns] == [[2, 3], [20, 21], [10.5, 11]]


def test_spreadsheet_without_openpyxl_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "positions.xlsx").touch()
    with pytest.raises(FilmError, match=r"positions\.xlsx is a spreadsheet, .* as CSV"):
        read_molecules(tmp_path / "positions.xlsx")


def test_table_without_molecules_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_text('"frame","x [nm]","y [nm]"\n')
    table = read_molecules(path)
    assert (table.frame.size, table.y_nm.size, table.x_nm.size) == (0, 0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"one line of text\n", "no column 'frame' among one line of text"),
        (b"id,frame,a,b\n1,1,2,3\n", r"no column 'y \[nm\]' among id, frame, a, b"),
        (b"id,frame,x [px],y [nm]\n1,1,2,3\n", r"no column 'x \[nm\]' among id"),
        (b"frame,x [nm],y [nm]\n1,2\n", "list index out of range"),
        (b"frame,x [nm],y [nm]\n1,2,three\n", "could not convert string to float: 'three'"),
        (b"frame,x [nm],y [nm]\n1,2,nan\n", "a number is not finite"),
        (b"frame,x [nm],y [nm]\n1,inf,2\n", "a number is not finite"),
        (b"II*\x00\x08\x00\x00\x00\xff\xfe\x80", "codec can't decode"),
        (b"frame,x [nm],y [nm]\n1,2," + b"9" * 200_000 + b"\n", "field larger"),
    ],
    ids=[
        *("empty", "text", "columns", "pixels", "short row", "word", "nan", "inf", "binary"),
        "long field",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    message = rf"table\.csv is not a table of positions .*{reason}.*; expected a CSV or XLSX file"
    with pytest.raises(FilmError, match=message):
        read_molecules(path)


def test_a_file_that_is_no_spreadsheet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.xlsx").write_text("frame,x [nm],y [nm]\n")
    with pytest.raises(FilmError, match=r"table\.xlsx is not a table of positions .*not a zip"):
        read_molecules(tmp_path / "table.xlsx")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"there is no file .*none\.csv; expected a CSV or XLSX"):
        read_molecules(tmp_path / "none.csv")


def test_rows_of_each_frame_in_pixels() -> None:
    table = Molecules(np.array([2, 0, 2]), np.array([100.0, 200, 300]), np.array([50.0, 60, 70]))
    by_frame = table.by_frame(4, 100.0)
    assert [part.tolist() for part in by_frame] == [
        [[2, 0.6]],
        [],
        [[1, 0.5], [3, 0.7]],
        [],
    ]
    assert table.of_frames(range(2)).y_nm.tolist() == [200]
    every_second = table.of_frames(range(0, 4, 2))
    assert every_second.frame.tolist() == [1, 0, 1]
    assert table.of_frames(np.array([1, 2, 7])).frame.tolist() == [1, 1]
    with pytest.raises(FilmError, match="the table has frames 1 to 3, the film has 2; expected"):
        table.by_frame(2, 100.0)
