"""What methods have done, in files beside the table: one for each method, film and parameters."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_DIGITS = 8
"""Of a key that stand in a file's name; the whole key stands in the file."""

_DAMAGE = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class KeptFile:
    """Arrays under a key, written as a whole or not at all.

    Attributes
    ----------
    path : Path
        The file.
    key : str
        What its content depends on; a file with another one counts as none.
    note : callable
        Told of a file that is damaged, which counts as none, too.
    """

    path: Path
    key: str
    note: Callable[[str], None]

    def read(self) -> Arrays | None:
        """All arrays, or None if there are none under this key."""
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as stream, np.load(stream) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return arrays if str(arrays.pop("key")) == self.key else None
        except _DAMAGE as error:
            self.note(f"{self.path.name} is damaged and is made anew ({error})")
            return None

    def write(self, arrays: Arrays) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}")
        try:
            with beside.open("wb") as stream:
                np.savez_compressed(stream, key=np.array(self.key), **arrays)
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)


def kept_files(
    folder: Path, name: str, key: str, note: Callable[[str], None]
) -> tuple[KeptFile, KeptFile]:
    """The files of a method's result and of its pass under way.

    Results of other films, frames, parameters and weights have other names, and stay.
    """
    stem = f"{name}-{key[:_DIGITS]}"
    return (
        KeptFile(folder / f"{stem}.npz", key, note),
        KeptFile(folder / f"{stem}.partial.npz", key, note),
    )
