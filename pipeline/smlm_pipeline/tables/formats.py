"""Formats of tables, chosen by the ending of a file's name, and the writing of a table."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from smlm_pipeline.atomic_files import check_new, written_whole
from smlm_pipeline.errors import FilmError, OutputError, ReconError, SettingError
from smlm_pipeline.tables.camera_units import IN_ADU, CameraUnits
from smlm_pipeline.tables.rows import Rows, Table, TableFacts


class TableWriter(Protocol):
    """Writes the rows of a table, a block at a time."""

    def add(self, rows: Rows) -> None:
        """Write the next rows."""
        ...

    def finish(self) -> str | None:
        """Write what follows the rows; the text of the file beside, where the format has one."""
        ...

    def release(self) -> None:
        """Let go of the file, finished or not."""
        ...


@dataclass(frozen=True)
class TableFormat:
    """A format: its name, the ending of its files, and the module and functions that serve it.

    ``extra`` is the extra of this package that installs what the module needs; ``companion`` is
    the ending of a second file, which states the facts of the table. ``adu`` is whether it can
    state light in ADU; others mean photons.
    """

    name: str
    ending: str
    module: str
    writer: str
    reader: str
    extra: str | None = None
    companion: str | None = None
    adu: bool = False

    def held(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of the columns that the format can state, as far as their light is concerned."""
        return tuple(name for name in columns if self.adu or name not in IN_ADU)

    def companion_of(self, path: Path) -> Path | None:
        """The file beside a table that states its facts, if the format has one."""
        if self.companion is None:
            return None
        return path.with_name(path.name[: -len(self.ending)] + self.companion)

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """All files of a table of this format."""
        companion = self.companion_of(path)
        return (path,) if companion is None else (path, companion)

    def load(self) -> Any:
        """The format's module.

        Raises
        ------
        SettingError
            If a package is not installed.
        """
        try:
            return importlib.import_module(f"smlm_pipeline.tables.{self.module}")
        except ImportError as error:
            raise SettingError(
                f"a table in {self.name}'s format ({self.ending}) needs a package that cannot be "
                f"used here ({error}); expected that package: pip install "
                f"'smlm-recon[{self.extra}]', or choose a table in .csv"
            ) from error


FORMATS = (
    TableFormat("the SMLM challenge", ".smlm.csv", "csv_files", "challenge_writer", "open_csv"),
    TableFormat("ThunderSTORM", ".csv", "csv_files", "thunderstorm_writer", "open_csv", adu=True),
    TableFormat("Picasso", ".hdf5", "hdf5_files", "PicassoWriter", "open_hdf5", "hdf5", ".yaml"),
    TableFormat("DECODE", ".h5", "hdf5_files", "DecodeWriter", "open_hdf5", "hdf5"),
    TableFormat(
        "Parquet", ".parquet", "parquet_files", "ParquetWriter", "open_parquet", "parquet", adu=True
    ),
)
"""The formats; the first one whose ending a name has is taken."""


def format_of(path: Path) -> TableFormat:
    """The format of a table to be written, by its name.

    Raises
    ------
    SettingError
        If no format has the ending.
    """
    for each in FORMATS:
        if path.name.lower().endswith(each.ending):
            return each
    listed = ", ".join(f"{each.ending} ({each.name})" for each in reversed(FORMATS))
    raise SettingError(f"the table is {path}; expected a name in one of {listed}")


def light_notes(path: Path, camera: CameraUnits | None) -> tuple[str, ...]:
    """What a user should know of light that a table will lack, for a film measured in ADU.

    Parameters
    ----------
    path : Path
        The table to be written.
    camera : CameraUnits, optional
        That of the film, where it is known.
    """
    kind = format_of(path)
    if camera is None and not kind.adu:
        return (
            f"{path.name} will have no light and no background: they are known in ADU, and the "
            f"format of {kind.name} means photons; expected the camera for them: give "
            "--gain-adu-per-photon and --offset-adu, or --camera FILE, or choose a name in .csv or "
            ".parquet",
        )
    if camera is not None and camera.offset_adu is None and camera.estimate is None:
        return (
            f"{path.name} will have no background, since the camera's offset is not known; "
            "expected --offset-adu too, if the background is needed",
        )
    return ()


@contextlib.contextmanager
def open_table(path: Path, pixel_size_nm: float | None = None) -> Iterator[Table]:
    """Open a table to read its rows, within the ``with`` block.

    Parameters
    ----------
    path : Path
        A file of any of ``FORMATS``; the contents of CSV and HDF5 files decide between two.
    pixel_size_nm : float, optional
        Edge of a camera pixel, in place of what the file states.

    Raises
    ------
    FilmError
        If it cannot be read, here or while its rows are read.
    SettingError
        If its ending is not known, or a package is missing.
    """
    kind = format_of(path)
    module = kind.load()
    try:
        with getattr(module, kind.reader)(path, pixel_size_nm) as table:
            yield table
    except ReconError:
        raise
    except FileNotFoundError as error:
        raise FilmError(f"there is no table {path}; expected an existing file") from error
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it is cut short, damaged or of another kind"
        raise FilmError(
            f"{path} cannot be read as a table of molecules ({reason}); expected one in "
            f"{kind.name}'s format: copy or export it again"
        ) from error


def check_target(path: Path, *, replaced: bool) -> None:
    """Refuse a table that could not be written, before the work that makes it.

    Raises
    ------
    SettingError
        If no format has the ending, or a package is missing.
    OutputError
        If a file exists and is not to be replaced, or the folder cannot be written to.
    """
    kind = format_of(path)
    kind.load()
    for file in kind.files_of(path):
        check_new(file, replaced=replaced)


def write_table(path: Path, blocks: Iterable[Rows], facts: TableFacts, row_count: int) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path : Path
        Target, whose ending chooses the format; replaced if it exists.
    blocks : iterable of Rows
        The rows in the order of frames, each block with all columns of the facts.
    facts : TableFacts
        What is known of the table.
    row_count : int
        Rows of all blocks.

    Raises
    ------
    OutputError
        If it cannot be written; no part of it is left.
    SettingError
        If the format needs what the table does not have.
    """
    kind = format_of(path)
    module = kind.load()
    written = 0
    with ExitStack() as files:
        companion = kind.companion_of(path)
        beside = None if companion is None else files.enter_context(written_whole(companion))
        file: BinaryIO = files.enter_context(written_whole(path))  # the first to get its name
        writer: TableWriter = getattr(module, kind.writer)(file, facts, row_count)
        files.callback(writer.release)
        for rows in blocks:
            writer.add(rows)
            written += len(rows)
        if written != row_count:
            raise OutputError(f"{path} got {written} rows; expected {row_count}")
        text = writer.finish()
        if beside is not None:
            beside.write((text or "").encode())
