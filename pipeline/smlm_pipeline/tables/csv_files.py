"""Tables as CSV: ThunderSTORM's columns, and those of the SMLM challenges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.tables.rows import Rows, TableFacts

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
    columns : list of str and callable
        The conversion of a value to text, as ``%d``, and the values, column by column.
    """

    def __init__(self, file: BinaryIO, header: str, columns: list[tuple[str, _Value]]) -> None:
        self._file = file
        self._line = ",".join(conversion for conversion, _ in columns) + "\n"
        self._values = [value for _, value in columns]
        self._row_count = 0
        file.write(f"{header}\n".encode())

    def add(self, rows: Rows) -> None:
        """Write the next rows."""
        columns = (value(rows, self._row_count).tolist() for value in self._values)
        text = "".join(map(self._line.__mod__, zip(*columns, strict=True)))
        self._file.write(text.encode("ascii"))
        self._row_count += len(rows)

    def close(self) -> None:
        """Nothing is left to write."""


def thunderstorm_writer(file: BinaryIO, facts: TableFacts) -> CsvWriter:
    """Write as ThunderSTORM does: nm from the corner of the first pixel, frames from 1."""
    columns = [
        (heading, conversion, value)
        for needed, heading, conversion, value in _THUNDERSTORM
        if set(needed) <= set(facts.columns)
    ]
    header = ",".join(f'"{heading}"' for heading, _, _ in columns)
    return CsvWriter(file, header, [(conversion, value) for _, conversion, value in columns])


def challenge_writer(file: BinaryIO, facts: TableFacts) -> CsvWriter:
    """Write as the SMLM challenges do: nm from the corner of the first pixel, frames from 1.

    The format has a place and an intensity for each row and nothing else; a z or an intensity
    that is not known is ``nan``.
    """
    header = "Ground-truth,frame,xnano,ynano,znano,intensity"
    optional = [
        ("%.3f", _column(name) if name in facts.columns else _unknown)
        for name in ("z_nm", "photons")
    ]
    place = [("%.3f", _column(name)) for name in ("x_nm", "y_nm")]
    return CsvWriter(file, header, [("%d", _number), ("%d", _frame_from_1), *place, *optional])


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

_THUNDERSTORM: tuple[tuple[tuple[str, ...], str, str, _Value], ...] = (
    ((), "id", "%d", _number),
    ((), "frame", "%d", _frame_from_1),
    ((), "x [nm]", "%.3f", _column("x_nm")),
    ((), "y [nm]", "%.3f", _column("y_nm")),
    (("z_nm",), "z [nm]", "%.3f", _column("z_nm")),
    (_SPOT, "sigma [nm]", "%.3f", _mean(*_SPOT)),
    (("photons",), "intensity [photon]", "%.3f", _column("photons")),
    (("background_photons",), "offset [photon]", "%.3f", _column("background_photons")),
    (_UNCERTAINTY, "uncertainty_xy [nm]", "%.3f", _root_mean_square(*_UNCERTAINTY)),
    (_UNCERTAINTY, "uncertainty_x [nm]", "%.3f", _column(_UNCERTAINTY[0])),
    (_UNCERTAINTY, "uncertainty_y [nm]", "%.3f", _column(_UNCERTAINTY[1])),
    (("detections",), "detections", "%d", _column("detections")),
    (("probability",), "probability", "%.4f", _column("probability")),
)
"""Columns of the canonical table that a column of the file needs, its heading and values.

ThunderSTORM (doi 10.1093/bioinformatics/btu202) has one uncertainty for x and y; those of either
axis and the probability are columns of our own, which it keeps as they are.
"""
