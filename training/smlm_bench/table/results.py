"""Kept results, one file for each method, film and parameters, and the table they may replace."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.table.film import ComparedFilm
from smlm_pipeline.errors import OutputError
from smlm_pipeline.film.frame_numbers import in_words

Arrays = dict[str, NDArray[Any]]


_DIGITS = 8
"""Digits of a key in a file's name; the file has the whole key."""


_DAMAGE = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class KeptFile:
    """Arrays under a key, written as a whole or not at all.

    Attributes
    ----------
    path : Path
        The file.
    key : str
        Hash of all that its content depends on; a file with another key counts as missing.
    note : callable
        Receives a line about a damaged file, which counts as missing too.
    """

    path: Path
    key: str
    note: Callable[[str], None]

    def read(self) -> Arrays | None:
        """Read all arrays; None if there are none under this key."""
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as stream, np.load(stream) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return arrays if str(arrays.pop("key")) == self.key else None
        except _DAMAGE as error:
            self.note(f"{self.path.name} is damaged and is made again ({error})")
            return None

    def write(self, arrays: Arrays) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}")
        archive = io.BytesIO()  # NumPy leaves it open at a signal: a closed file would complain
        np.savez_compressed(archive, key=np.array(self.key), **arrays)
        try:
            beside.write_bytes(archive.getbuffer())
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)


def kept_files(
    folder: Path, name: str, key: str, note: Callable[[str], None]
) -> tuple[KeptFile, KeptFile]:
    """Name the files of a method's result and of its pass under way.

    Results of other films, frames, parameters and weights have other names, and remain.
    """
    stem = f"{name}-{key[:_DIGITS]}"
    return (
        KeptFile(folder / f"{stem}.npz", key, note),
        KeptFile(folder / f"{stem}.partial.npz", key, note),
    )


TABLE = "table.json"


_WHAT_TO_DO = "take another folder with -o, or give --overwrite (kept results stay in any case)"


def check_output(folder: Path) -> None:
    """Refuse what cannot be a folder, before hours of work.

    Raises
    ------
    OutputError
        If there is a file of that name, or one in its way.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file; expected a folder, or a name for one, behind -o")


def check_replaceable(folder: Path, film: ComparedFilm, names: Sequence[str]) -> None:
    """Refuse to replace a table of another film or other frames, or one that has more rows.

    A call that is repeated, continues, or names more methods loses no row and is allowed.

    Parameters
    ----------
    folder : Path
        Folder of the table.
    film : ComparedFilm
        Film of the new table.
    names : sequence of str
        Methods of the new table.

    Raises
    ------
    OutputError
        If the table there may not be replaced.
    """
    path = folder / TABLE
    if not path.exists():
        return
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        methods = [str(row["method"]) for row in table["rows"]]
        frames = in_words([range(*table["frames"])])
        what = f"a table of {table['film']}, {frames}, by {', '.join(methods)}"
        reason = _difference(table, film, [name for name in methods if name not in names])
    except (OSError, ValueError, LookupError, TypeError):
        what, reason = "something else", "it is no table of 'recon-bench table'"
    if reason:
        raise OutputError(f"{path} is {what}: {reason}; {_WHAT_TO_DO}")


def rows_in(folder: Path) -> int:
    """Count the rows of the table in a folder; 0 without one."""
    try:
        return len(json.loads((folder / TABLE).read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _difference(table: dict[str, Any], film: ComparedFilm, lost: Sequence[str]) -> str:
    """State what would be lost; empty if nothing is."""
    if list(film.frame_range) != table["frames"]:
        return "other frames than these"
    if film.sha256 != table["sha256"]:
        return "another film than this one, or other positions"
    if film.facts_as_json() != table["facts"]:
        return "made with other facts of optics and camera than these"
    return f"the new one would lack {', '.join(lost)}" if lost else ""
