"""Tables as CSV: ThunderSTORM's columns, and those of the SMLM challenges."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.tables.decimal_text import decimal_lines
from smlm_pipeline.tables.rows import COLUMNS, PLACE, READ_ROWS, Rows, Table, TableFacts

_Value = Callable[[Rows, int], NDArray[Any]]
"""The values of a column of the file; the number is that of the rows before these."""


class CsvWriter:
    """Writes rows as lines of a CSV file, a block at a time.

    Parameters
    ----------
    file : binary file
        Open for writing. The header is written at once.
    header : str
        The first line.
    columns : list of int and callable
        The decimals and the values, column by column.
    """

    def __init__(self, file: BinaryIO, header: str, columns: list[tuple[int, _Value]]) -> None:
        self._file, self._columns = file, columns
        self._row_count = 0
        file.write(f"{header}\n".encode())

    def add(self, rows: Rows) -> None:
        """Write the next rows."""
        columns = [(value(rows, self._row_count), decimals) for decimals, value in self._columns]
        self._file.write(decimal_lines(columns))
        self._row_count += len(rows)

    def finish(self) -> None:
        """Nothing is left to write."""

    def release(self) -> None:
        """Nothing is open."""


def thunderstorm_writer(file: BinaryIO, facts: TableFacts, _row_count: int) -> CsvWriter:
    """Write as ThunderSTORM does: nm from the corner of the first pixel, frames from 1."""
    columns = [
        (heading, decimals, value)
        for needed, heading, decimals, value in _THUNDERSTORM
        if set(needed) <= set(facts.columns)
    ]
    header = ",".join(f'"{heading}"' for heading, _, _ in columns)
    return CsvWriter(file, header, [(decimals, value) for _, decimals, value in columns])


def challenge_writer(file: BinaryIO, facts: TableFacts, _row_count: int) -> CsvWriter:
    """Write as the SMLM challenges do: nm from the corner of the first pixel, frames from 1.

    The format has a place and an intensity for each row and nothing else; a z or an intensity
    that is not known is ``nan``.
    """
    header = "Ground-truth,frame,xnano,ynano,znano,intensity"
    optional = [
        (3, _column(name) if name in facts.columns else _unknown) for name in ("z_nm", "photons")
    ]
    place = [(3, _column(name)) for name in ("x_nm", "y_nm")]
    return CsvWriter(file, header, [(0, _number), (0, _frame_from_1), *place, *optional])


@contextlib.contextmanager
def open_csv(path: Path, pixel_size_nm: float | None) -> Iterator[Table]:
    """Open a table with a header of ThunderSTORM's columns, or of the challenges'.

    Frames count from 1 in the file.

    Raises
    ------
    FilmError
        If a column is missing, or a row has no place.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        headings = next(csv.reader([stream.readline()]), [])
        keys = [" ".join(heading.split()).lower() for heading in headings]
        places: dict[str, int] = {}
        for heading, columns in _HEADINGS.items():
            for name in columns if heading in keys else ():
                places.setdefault(name, keys.index(heading))
        if not set(PLACE) <= set(places):
            raise FilmError(
                f"{path} has the columns {', '.join(headings[:12])}; expected at least frame, "
                "x [nm] and y [nm] (ThunderSTORM) or frame, xnano and ynano (SMLM challenge)"
            )
        names = tuple(name for name in COLUMNS if name in places)
        ignored = tuple(
            heading
            for heading, key in zip(headings, keys, strict=True)
            if key not in _HEADINGS and key not in _NUMBERING
        )

        def blocks() -> Iterator[Rows]:
            first = 2
            while lines := list(islice(stream, READ_ROWS)):
                values = _values(path, lines, [places[name] for name in names], first)
                first += len(lines)
                yield _checked(path, dict(zip(names, values, strict=True)))

        yield Table(TableFacts(names, pixel_size_nm), blocks, None, ignored)


def _values(path: Path, lines: list[str], places: list[int], first: int) -> NDArray[np.float64]:
    """Columns (C, K) of some lines; what is empty is NaN."""
    try:
        return np.loadtxt(lines, delimiter=",", usecols=places, ndmin=2, comments=None).T
    except ValueError:  # quotes, empty cells or empty lines, which only this slower way reads
        rows = []
        for number, row in enumerate(csv.reader(lines), first):
            if not any(row):
                continue
            try:
                rows.append([float(row[place] or "nan") for place in places])
            except (ValueError, IndexError) as error:
                raise FilmError(
                    f"line {number} of {path} is not a row of the table; expected numbers under "
                    "each heading: export it again"
                ) from error
        return np.array(rows, np.float64).reshape(-1, len(places)).T


def _checked(path: Path, columns: dict[str, NDArray[Any]]) -> Rows:
    """Rows whose frame counts from 0, or a refusal of those without a place."""
    if not all(np.isfinite(columns[name]).all() for name in PLACE):
        raise FilmError(
            f"{path} has a row without a frame or a place; expected numbers: export it again"
        )
    columns["frame"] = columns["frame"].astype(np.int64) - 1
    if columns["frame"].min(initial=0) < 0:
        raise FilmError(
            f"{path} has a frame 0; expected frames from 1, as ThunderSTORM counts: Picasso's "
            "export counts from 0 and is half a pixel off, so convert its .hdf5 file instead"
        )
    if "detections" in columns:
        columns["detections"] = columns["detections"].astype(np.int64)
    return Rows(columns)


def _column(name: str) -> _Value:
    return lambda rows, _: rows[name]


def _number(rows: Rows, before: int) -> NDArray[Any]:
    return np.arange(before + 1, before + 1 + len(rows))


def _frame_from_1(rows: Rows, _: int) -> NDArray[Any]:
    return rows["frame"] + 1


def _unknown(rows: Rows, _: int) -> NDArray[Any]:
    return np.full(len(rows), np.nan)


def _mean(first: str, second: str) -> _Value:
    return lambda rows, _: (rows[first] + rows[second]) / 2


def _root_mean_square(first: str, second: str) -> _Value:
    return lambda rows, _: np.sqrt((rows[first] ** 2 + rows[second] ** 2) / 2)


_SPOT = ("spot_sigma_x_nm", "spot_sigma_y_nm")
_UNCERTAINTY = ("uncertainty_x_nm", "uncertainty_y_nm")

_THUNDERSTORM: tuple[tuple[tuple[str, ...], str, int, _Value], ...] = (
    ((), "id", 0, _number),
    ((), "frame", 0, _frame_from_1),
    ((), "x [nm]", 3, _column("x_nm")),
    ((), "y [nm]", 3, _column("y_nm")),
    (("z_nm",), "z [nm]", 3, _column("z_nm")),
    (_SPOT, "sigma [nm]", 3, _mean(*_SPOT)),
    (("photons",), "intensity [photon]", 3, _column("photons")),
    (("background_photons",), "offset [photon]", 3, _column("background_photons")),
    (("intensity_adu",), "intensity [ADU]", 3, _column("intensity_adu")),
    (("background_adu",), "level [ADU]", 3, _column("background_adu")),
    (_UNCERTAINTY, "uncertainty_xy [nm]", 3, _root_mean_square(*_UNCERTAINTY)),
    (_UNCERTAINTY, "uncertainty_x [nm]", 3, _column(_UNCERTAINTY[0])),
    (_UNCERTAINTY, "uncertainty_y [nm]", 3, _column(_UNCERTAINTY[1])),
    (
        ("uncertainty_photons",),
        "uncertainty_intensity [photon]",
        3,
        _column("uncertainty_photons"),
    ),
    (
        ("uncertainty_intensity_adu",),
        "uncertainty_intensity [ADU]",
        3,
        _column("uncertainty_intensity_adu"),
    ),
    (("detections",), "detections", 0, _column("detections")),
    (("probability",), "probability", 4, _column("probability")),
)
"""Columns of the canonical table that a column of the file needs, heading, decimals and values.

ThunderSTORM (doi 10.1093/bioinformatics/btu202) has one uncertainty for x and y; those of either
axis and of the intensity, the level and the probability are columns of our own, which it keeps as
they are. A heading may have the unit ADU in place of photons there.
"""

_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "frame": ("frame",),
    "x [nm]": ("x_nm",),
    "y [nm]": ("y_nm",),
    "z [nm]": ("z_nm",),
    "xnano": ("x_nm",),
    "ynano": ("y_nm",),
    "znano": ("z_nm",),
    "sigma [nm]": _SPOT,
    "sigma1 [nm]": _SPOT[:1],
    "sigma2 [nm]": _SPOT[1:],
    "intensity [photon]": ("photons",),
    "intensity": ("photons",),
    "offset [photon]": ("background_photons",),
    "intensity [adu]": ("intensity_adu",),
    "level [adu]": ("background_adu",),
    "uncertainty_intensity [photon]": ("uncertainty_photons",),
    "uncertainty_intensity [adu]": ("uncertainty_intensity_adu",),
    "uncertainty_x [nm]": _UNCERTAINTY[:1],
    "uncertainty_y [nm]": _UNCERTAINTY[1:],
    "uncertainty_xy [nm]": _UNCERTAINTY,
    "uncertainty [nm]": _UNCERTAINTY,
    "detections": ("detections",),
    "probability": ("probability",),
}
"""Headings in lower case, and the columns whose values they hold; the first one is taken."""

_NUMBERING = ("id", "ground-truth")
"""Headings of the number of a row, which a table of ours gets when it is written."""
