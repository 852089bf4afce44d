"""Tables as Parquet: the columns of `rows.COLUMNS`, as they are, for pandas, Polars and R."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from smlm_pipeline.errors import FilmError
from smlm_pipeline.tables.rows import COLUMNS, PLACE, READ_ROWS, Rows, Table, TableFacts

_KEY = b"smlm-recon"
"""Key of the facts, as JSON, in the file's metadata."""


class ParquetWriter:
    """Writes rows as groups of a Parquet file, compressed by zstd."""

    def __init__(self, file: BinaryIO, facts: TableFacts, _row_count: int) -> None:
        self._names = [name for name in COLUMNS if name in facts.columns]
        kinds = {"<i8": pa.int64(), "<f8": pa.float64()}
        fields = [pa.field(name, kinds[COLUMNS[name]], nullable=False) for name in self._names]
        stated = json.dumps(asdict(replace(facts, provenance=dict(facts.provenance))), default=str)
        self._schema = pa.schema(fields, metadata={_KEY: stated})
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def add(self, rows: Rows) -> None:
        """Write the next rows."""
        arrays: list[NDArray[Any]] = [rows[name] for name in self._names]
        self._writer.write_table(pa.table(arrays, schema=self._schema))

    def finish(self) -> None:
        """Write the file's footer."""
        self._writer.close()

    def release(self) -> None:
        """Close the writer, which would else complain when it is collected."""
        with contextlib.suppress(OSError):  # the disk is full, which has been reported
            self._writer.close()


@contextlib.contextmanager
def open_parquet(path: Path, pixel_size_nm: float | None) -> Iterator[Table]:
    """Open a table with columns of `rows.COLUMNS`; others are ignored.

    Raises
    ------
    FilmError
        If it lacks the frame or the place.
    """
    with parquet.ParquetFile(path) as file:
        stated = file.schema_arrow.names
        names = tuple(name for name in COLUMNS if name in stated)
        if not set(PLACE) <= set(names):
            raise FilmError(
                f"{path} has columns {', '.join(stated[:12])}; expected at least "
                f"{', '.join(PLACE)} (docs/tables.md)"
            )
        kept = json.loads((file.schema_arrow.metadata or {}).get(_KEY, b"{}"))
        facts = TableFacts(
            names,
            pixel_size_nm or kept.get("pixel_size_nm"),
            *(kept.get(name) for name in ("width_px", "height_px", "frame_count")),
        )

        def blocks() -> Iterator[Rows]:
            for batch in file.iter_batches(READ_ROWS, columns=list(names)):
                arrays = (batch.column(name).to_numpy(zero_copy_only=False) for name in names)
                pairs = zip(names, arrays, strict=True)
                yield Rows({name: values.astype(COLUMNS[name]) for name, values in pairs})

        ignored = tuple(name for name in stated if name not in COLUMNS)
        yield Table(facts, blocks, file.metadata.num_rows, ignored)
