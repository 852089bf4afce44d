"""The form that checkpoints and files of parts share: a zip of facts, and an entry a sink."""

from __future__ import annotations

import json
import tokenize
import zipfile
from collections.abc import Callable, Mapping
from typing import IO

from smlm_pipeline.damage import DAMAGE

FORMAT = 1
"""Version of the form of both files."""

DAMAGES = (*DAMAGE, OSError, zipfile.BadZipFile, SyntaxError, tokenize.TokenError)
"""Errors of a zip or an array's header that lost bits: NumPy parses the header as Python."""

Entries = Mapping[str, Callable[[IO[bytes]], None]]
"""What writes or reads each entry, by its name."""


def write_entries(
    archive: zipfile.ZipFile, facts_name: str, facts: Mapping[str, object], entries: Entries
) -> None:
    """Write the facts, as JSON with the form, and all entries.

    Entries that are opened by name are dated 1980, as zip's first year, whatever the clock says: a
    clock that stands before it loses no run.
    """
    with archive.open(facts_name, "w") as entry:
        entry.write(json.dumps({"format": FORMAT, **facts}, indent=2).encode())
    for name, write in entries.items():
        with archive.open(name, "w", force_zip64=True) as entry:
            write(entry)


def entries_beside(archive: zipfile.ZipFile, facts_name: str) -> list[str]:
    """Names of the entries that are not the facts, sorted."""
    return sorted(set(archive.namelist()) - {facts_name})


def read_entries(archive: zipfile.ZipFile, entries: Entries) -> None:
    """Read all entries to their ends, which also verifies their checksums.

    Raises
    ------
    ValueError
        If one is longer than what reads it takes.
    """
    for name, read in entries.items():
        with archive.open(name) as entry:
            read(entry)
            if entry.read(1):
                raise ValueError("longer than its state")


def listed(names: list[str]) -> str:
    """Names in a message."""
    return ", ".join(names) or "nothing"
