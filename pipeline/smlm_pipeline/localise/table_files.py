"""Read tables of positions from files, and write them as ThunderSTORM does."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.localise.table import Molecules

THUNDERSTORM_COLUMNS = (
    "id",
    "frame",
    "x [nm]",
    "y [nm]",
    "sigma [nm]",
    "intensity [photon]",
    "offset [photon]",
    "bkgstd [photon]",
)
"""Columns of ThunderSTORM's simulator (doi 10.1093/bioinformatics/btu202), in its order."""

_THUNDERSTORM_ROW = "%d,%d" + 6 * ",%.5f" + "\n"

_NAMES = {
    "frame": ("frame", "frames", "frame number"),
    "y_nm": ("y [nm]", "y (nm)", "y_nm", "ynano", "y"),
    "x_nm": ("x [nm]", "x (nm)", "x_nm", "xnano", "x"),
}
"""Accepted names of each column, in lower case; the first one that the file has is taken."""

_EXPECTED = (
    'expected a CSV or XLSX file whose first row has the columns "frame", "x [nm]" and "y [nm]", '
    "frames from 1, nm from the corner of the first pixel"
)

_SPREADSHEETS = {".xlsx", ".xlsm"}


def read_molecules(path: Path) -> Molecules:
    """Read positions from a CSV or XLSX file; columns may be in any order.

    Frames count from 1 in the file and from 0 in the table; positions are in nm from the
    corner of the first pixel.

    Raises
    ------
    FilmError
        If the file cannot be read, a column is missing or a number is not finite.
    """
    try:
        with closing(_rows(path)) as rows:
            return _molecules(rows)
    except FileNotFoundError as error:
        raise FilmError(f"there is no file {path}; {_EXPECTED}") from error
    except OSError as error:
        raise FilmError(f"{path} cannot be read ({error.strerror}); {_EXPECTED}") from error
    except (TypeError, ValueError, LookupError, csv.Error, zipfile.BadZipFile) as error:
        raise FilmError(f"{path} is not a table of positions ({error}); {_EXPECTED}") from error


def _rows(path: Path) -> Generator[Sequence[Any], None, None]:
    if path.suffix.lower() in _SPREADSHEETS:
        yield from _spreadsheet_rows(path)
        return
    with path.open(newline="", encoding="utf-8-sig") as stream:
        yield from csv.reader(stream)


def _spreadsheet_rows(path: Path) -> Iterator[Sequence[Any]]:
    try:
        import openpyxl  # not a dependency of the client, which reads no spreadsheets
    except ModuleNotFoundError as error:
        raise FilmError(
            f"{path} is a spreadsheet, which needs the package openpyxl; expected that package "
            "(pip install openpyxl) or a CSV file: save the table as CSV"
        ) from error
    with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
        yield from book.worksheets[0].iter_rows(values_only=True)


def _molecules(rows: Iterator[Sequence[Any]]) -> Molecules:
    header = next(rows, None)
    if header is None:
        raise ValueError("it is empty")
    headings = [str(cell).strip().lower() for cell in header]
    places = [_place(headings, names) for names in _NAMES.values()]
    values = [
        [float(row[place]) for place in places]
        for row in rows
        if any(cell not in (None, "") for cell in row)
    ]
    columns = np.array(values, np.float64).reshape(-1, len(places)).T
    if not np.isfinite(columns).all():
        raise ValueError("a number is not finite")
    frame, y_nm, x_nm = columns
    return Molecules(frame.astype(np.int64) - 1, y_nm, x_nm)


def _place(headings: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in headings:
            return headings.index(name)
    raise ValueError(f"no column {names[0]!r} among {', '.join(headings[:12])}")


class ThunderstormWriter:
    """Write a table as ThunderSTORM's simulator does, a block of rows at a time.

    Parameters
    ----------
    stream : text file
        Open for writing, with ``newline=""``. The header is written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.row_count = 0
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(
            THUNDERSTORM_COLUMNS
        )

    def add(
        self,
        molecules: Molecules,
        *,
        sigma_nm: NDArray[np.float64],
        photons: NDArray[np.float64],
        offset_photons: NDArray[np.float64],
        noise_photons: NDArray[np.float64],
    ) -> None:
        """Write the next rows; all arrays are (K,), frames count from 0.

        Parameters
        ----------
        molecules : Molecules
            Frames and positions.
        sigma_nm, photons : ndarray, shape (K,), float64
            Width and brightness of each spot.
        offset_photons, noise_photons : ndarray, shape (K,), float64
            The camera's base level, and the standard deviation of the background.
        """
        count = len(molecules.frame)
        columns = (
            np.arange(self.row_count + 1, self.row_count + 1 + count),
            molecules.frame + 1,
            molecules.x_nm,
            molecules.y_nm,
            sigma_nm,
            photons,
            offset_photons,
            noise_photons,
        )
        rows = zip(*(column.tolist() for column in columns), strict=True)
        self._stream.writelines(map(_THUNDERSTORM_ROW.__mod__, rows))
        self.row_count += count
