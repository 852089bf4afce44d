"""Read tables, select and join their rows, and hand them on in the order of frames."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables.camera_units import IN_ADU, CameraUnits, in_photons
from smlm_pipeline.tables.filters import Filters
from smlm_pipeline.tables.formats import open_table
from smlm_pipeline.tables.linking import LinkRule, linked, linked_columns
from smlm_pipeline.tables.rows import COLUMNS, Rows, Table, TableFacts
from smlm_pipeline.tables.sorted_rows import SortedRows

_LEVEL = "background_adu"


class Progress(Protocol):
    """Receives the reports of a conversion."""

    def stage(self, name: str, frames: int | None = None) -> None:
        """Start a stage of so many rows, where that is known."""
        ...

    def progress(self, frames: float) -> None:
        """Count rows that are done."""
        ...

    def note(self, text: str) -> None:
        """Report a fact that a user may want to know."""
        ...


@dataclass(frozen=True)
class Conversion:
    """Tables to read, and what to do with their rows.

    ``pixel_size_nm`` replaces what the files state, ``filters`` select rows before ``link`` joins
    them, and ``consecutive`` numbers the frames of each further table after those of the one
    before. ``camera`` turns light in ADU into photons, before the filters.
    """

    inputs: tuple[Path, ...]
    pixel_size_nm: float | None = None
    filters: Filters = field(default_factory=Filters)
    link: LinkRule | None = None
    consecutive: bool = False
    camera: CameraUnits | None = None

    def columns_of(self, table: Table) -> tuple[str, ...]:
        """The columns of a table when its light is in photons, where the camera is known."""
        names = table.facts.columns
        if self.camera is None:
            return names
        stated = self.camera.columns
        return tuple(
            dict.fromkeys(stated.get(n, n) for n in names if n in stated or n not in IN_ADU)
        )

    def in_units(self, rows: Rows) -> Rows:
        """Rows with their light in photons, where the camera is known."""
        return rows if self.camera is None else Rows(in_photons(rows.columns, self.camera))


@dataclass(frozen=True)
class Converted:
    """The rows of a conversion, in order, and their facts.

    ``rows_read`` counts all rows of the tables, ``rows_kept`` those that met all conditions, and
    ``extent_nm`` is the largest x and y among them all.
    """

    facts: TableFacts
    rows: SortedRows
    rows_read: int
    rows_kept: int
    extent_nm: tuple[float, float]


@contextlib.contextmanager
def converted(conversion: Conversion, folder: Path, progress: Progress) -> Iterator[Converted]:
    """Read the tables; their rows can be read within the ``with`` block.

    Parameters
    ----------
    conversion : Conversion
        What to read, and what to do with it.
    folder : Path
        Of nameless files that hold the rows.
    progress : Progress
        Receives stages, rows that were read, and notes.

    Raises
    ------
    FilmError
        If a table cannot be read.
    SettingError
        If a filter needs a column that a table lacks, or the tables do not fit together.
    OutputError
        If the folder has no room.
    """
    with contextlib.ExitStack() as opened:
        tables = [
            opened.enter_context(open_table(path, conversion.pixel_size_nm))
            for path in conversion.inputs
        ]
        _check_camera(conversion, tables)
        for path, table in zip(conversion.inputs, tables, strict=True):
            conversion.filters.check(conversion.columns_of(table))
            if table.ignored:
                progress.note(f"{path.name}: not read, {', '.join(table.ignored)}")
        found = {name for table in tables for name in conversion.columns_of(table)}
        columns = tuple(name for name in COLUMNS if name in found)
        rows = opened.enter_context(SortedRows(folder, columns))
        counts = [table.row_count for table in tables]
        total = None if None in counts else sum(count or 0 for count in counts)
        progress.stage("reading", total)
        seen = _read(conversion, tables, rows, progress)
        for note in seen.doubts(conversion.camera):
            progress.note(note)
        rows_kept = rows.row_count
        known = _facts(conversion, tables, seen)
        if conversion.link is not None:
            progress.stage("linking")
            unlinked = rows
            rows = opened.enter_context(SortedRows(folder, linked_columns(unlinked.columns)))
            for block in linked(unlinked.blocks(), conversion.link):
                rows.add(block)
        facts = TableFacts(rows.columns, *known)
        yield Converted(facts, rows, seen.rows, rows_kept, (seen.right_nm, seen.bottom_nm))


def _check_camera(conversion: Conversion, tables: Sequence[Table]) -> None:
    """Refuse a camera for tables that have nothing in ADU."""
    camera = conversion.camera
    if camera is not None and not any(set(IN_ADU) & set(each.facts.columns) for each in tables):
        names = ", ".join(path.name for path in conversion.inputs)
        raise SettingError(
            f"{camera.option} turns light in ADU into photons, and {names} has none in ADU; "
            "expected a table in ADU, as 'submit --molecules' writes it without a gain: leave the "
            "camera out"
        )


@dataclass
class _Seen:
    """What reading the rows shows: their number, the frames, and the largest x and y."""

    rows: int = 0
    frame_count: int = 0
    right_nm: float = 0.0
    bottom_nm: float = 0.0
    level_rows: int = 0
    level_sum_adu: float = 0.0

    def see_level(self, rows: Rows) -> None:
        """Take note of the level beneath molecules, where it is in ADU."""
        if _LEVEL in rows:
            known = rows[_LEVEL][np.isfinite(rows[_LEVEL])]
            self.level_rows += len(known)
            self.level_sum_adu += float(known.sum())

    def doubts(self, camera: CameraUnits | None) -> tuple[str, ...]:
        """What is doubtful of a camera, by the levels of all rows."""
        if camera is None or not self.level_rows:
            return ()
        return camera.doubts(self.level_sum_adu / self.level_rows, "the tables' frames")

    def see(self, rows: Rows) -> None:
        """Take note of rows."""
        self.rows += len(rows)
        self.frame_count = max(self.frame_count, int(rows["frame"].max(initial=-1)) + 1)
        self.right_nm = max(self.right_nm, float(rows["x_nm"].max(initial=0)))
        self.bottom_nm = max(self.bottom_nm, float(rows["y_nm"].max(initial=0)))


def _read(
    conversion: Conversion, tables: Sequence[Table], rows: SortedRows, progress: Progress
) -> _Seen:
    """Add the rows that are kept."""
    seen, offset = _Seen(), 0
    for table in tables:
        for block in table.blocks():
            seen.see_level(block)
            shifted = _shifted(conversion.in_units(block), offset)
            seen.see(shifted)
            rows.add(_completed(conversion.filters.keep(shifted), rows.all_columns))
            progress.progress(len(block))
        seen.frame_count = max(seen.frame_count, offset + (table.facts.frame_count or 0))
        offset = seen.frame_count if conversion.consecutive else 0
    return seen


def _shifted(rows: Rows, frames: int) -> Rows:
    """Rows some frames later."""
    return Rows({**rows.columns, "frame": rows["frame"] + frames}) if frames else rows


def _completed(rows: Rows, columns: tuple[str, ...]) -> Rows:
    """Rows with all columns: a row of a table without detections counts as one."""
    filled = dict(rows.columns)
    for name in columns:
        if name not in rows:
            ones = name == "detections"
            filled[name] = np.ones(len(rows), np.int64) if ones else np.full(len(rows), np.nan)
    return Rows(filled)


def _facts(
    conversion: Conversion, tables: Sequence[Table], seen: _Seen
) -> tuple[float | None, int | None, int | None, int, dict[str, Any]]:
    """The fields of `TableFacts` after the columns, of the rows where no table states them."""
    sizes = {table.facts.pixel_size_nm for table in tables} - {None}
    if len(sizes) > 1:
        listed = ", ".join(f"{nm:g}" for nm in sorted(sizes))  # type: ignore[type-var]
        raise SettingError(
            f"the tables have camera pixels of {listed} nm; expected one size: give it with "
            "--pixel-size-nm, or convert the tables one by one"
        )
    edges = [[getattr(table.facts, name) for table in tables] for name in ("width_px", "height_px")]
    pixel_nm = next(iter(sizes), None)
    width_px, height_px = (
        (_pixels(extent_nm, pixel_nm) if None in each else max(each))
        for each, extent_nm in zip(edges, (seen.right_nm, seen.bottom_nm), strict=True)
    )
    provenance: dict[str, Any] = {
        "made_from": [path.name for path in conversion.inputs],
        "filters": {name: value for name, value in asdict(conversion.filters).items() if value},
        "link": None if conversion.link is None else asdict(conversion.link),
        "camera": None if conversion.camera is None else conversion.camera.as_dict(),
    }
    return pixel_nm, width_px, height_px, seen.frame_count, provenance


def _pixels(extent_nm: float, pixel_nm: float | None) -> int | None:
    """Camera pixels up to a place, its own among them."""
    return None if pixel_nm is None else math.floor(extent_nm / pixel_nm) + 1
