"""Read and write tables of positions as files."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smlm_pipeline.errors import FilmError
from smlm_pipeline.localise.table import Molecules

_NAMES = {
    "frame": ("frame", "frames", "frame number"),
    "y_nm": ("y [nm]", "y (nm)", "y_nm", "ynano", "y"),
    "x_nm": ("x [nm]", "x (nm)", "x_nm", "xnano", "x"),
}
"""What a column may be called, in small letters."""


_EXPECTED = (
    'expected a CSV or XLSX file whose first row has the columns "frame", "x [nm]" and "y [nm]", '
    "frames from 1, nm from the corner of the first pixel"
)


_SPREADSHEETS = {".xlsx", ".xlsm"}


def read_molecules(path: Path) -> Molecules:
    """Molecules with frames from 1 in the file and from 0 here, positions in nm from the corner.

    Raises
    ------
    FilmError
        If the file cannot be read, a column is missing or a number is not finite.
    """
    try:
        return _molecules(list(_rows(path)))
    except FileNotFoundError as error:
        raise FilmError(f"there is no file {path}; {_EXPECTED}") from error
    except OSError as error:
        raise FilmError(f"{path} cannot be read ({error.strerror}); {_EXPECTED}") from error
    except (TypeError, ValueError, LookupError, csv.Error, zipfile.BadZipFile) as error:
        raise FilmError(f"{path} is no table of positions ({error}); {_EXPECTED}") from error


def _rows(path: Path) -> Iterator[Sequence[Any]]:
    if path.suffix.lower() in _SPREADSHEETS:
        import openpyxl

        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            yield from book.worksheets[0].iter_rows(values_only=True)
        finally:
            book.close()
        return
    with path.open(newline="", encoding="utf-8-sig") as stream:
        yield from csv.reader(stream)


def _molecules(rows: list[Sequence[Any]]) -> Molecules:
    if not rows:
        raise ValueError("it is empty")
    headings = [str(cell).strip().lower() for cell in rows[0]]
    places = [_place(headings, names) for names in _NAMES.values()]
    filled = [
        [row[place] for place in places]
        for row in rows[1:]
        if any(cell not in (None, "") for cell in row)
    ]
    columns = np.array(filled).astype(np.float64).reshape(-1, len(places)).T
    if not np.isfinite(columns).all():
        raise ValueError("a number is not finite")
    frame, y_nm, x_nm = columns
    return Molecules(frame.astype(np.int64) - 1, y_nm, x_nm)


def _place(headings: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in headings:
            return headings.index(name)
    raise ValueError(f"no column {names[0]!r} among {', '.join(headings[:12])}")
