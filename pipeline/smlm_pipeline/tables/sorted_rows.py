"""Rows in the order of their frames, by way of a file: in any order in, sorted out."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from smlm_pipeline.errors import OutputError
from smlm_pipeline.tables.row_file import RowFile
from smlm_pipeline.tables.rows import PLACE, Rows, record_type, rows_of


class SortedRows(AbstractContextManager["SortedRows"]):
    """Takes rows in any order and gives them back by frame, then y, then x.

    Parameters
    ----------
    folder : Path
        Of a nameless file, which the system removes however this process ends.
    columns : tuple of str
        Columns of the rows.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...]) -> None:
        self._folder, self.all_columns = folder, columns
        self._valued: set[str] = set(PLACE)
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see __exit__
        except OSError as error:
            raise self._refusal(error) from error
        self._rows = RowFile(self._file, record_type(columns), ("y_nm", "x_nm"))

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()

    @property
    def row_count(self) -> int:
        """Rows so far."""
        return self._rows.row_count

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns in which any row has a value; all of a table without rows."""
        if not self.row_count:
            return self.all_columns
        return tuple(name for name in self.all_columns if name in self._valued)

    def add(self, rows: Rows) -> None:
        """Take rows.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        for name in set(self.all_columns) - self._valued:
            if not np.isnan(rows[name]).all():
                self._valued.add(name)
        records = rows.as_records()
        try:
            self._rows.add(records[np.argsort(records["frame"], kind="stable")])
            self._rows.flush()
        except OSError as error:
            raise self._refusal(error) from error

    def blocks(self) -> Iterator[Rows]:
        """All rows in order."""
        for records in self._rows.in_order():
            rows = rows_of(records)
            yield Rows({name: rows[name] for name in self.columns})

    def _refusal(self, error: OSError) -> OutputError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else (error.strerror or str(error))
        return OutputError(
            f"the table cannot be sorted in {self._folder} ({reason}); expected room for "
            f"{record_type(self.all_columns).itemsize} bytes a molecule: free space, or choose "
            "another folder with -o"
        )
