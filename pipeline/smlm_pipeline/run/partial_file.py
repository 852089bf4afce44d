"""The file of a part of a film: a zip of ``part.json`` and what each sink has added.

Unlike a checkpoint, which is written often, it is one compressed file that holds the molecules
too, since it travels. NumPy opens it: the sum is its entry ``sum.npy``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.errors import CheckpointError, OutputError
from smlm_pipeline.run.sink_archive import (
    DAMAGES,
    FORMAT,
    entries_beside,
    listed,
    read_entries,
    write_entries,
)
from smlm_pipeline.run.sinks import Sink

FACTS_BYTES_MAX = 1 << 26
"""Most bytes of the facts: a damaged file must not fill the memory."""

_FACTS = "part.json"


def write_partial(path: Path, facts: Mapping[str, object], sinks: Mapping[str, Sink]) -> None:
    """Write what all sinks have added, and the facts of the part.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    facts : Mapping
        What the part is of, for JSON.
    sinks : Mapping of str to Sink
        The sinks, by their entries in the file.

    Raises
    ------
    OutputError
        If it cannot be written; an earlier file of that name is unchanged.
    """
    with (
        written_whole(path) as file,
        # most of a sum is zeros: the quickest level takes nearly all of them out
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        write_entries(
            archive, _FACTS, facts, {name: sink.write_part_to for name, sink in sinks.items()}
        )


def read_part_facts(path: Path) -> dict[str, Any]:
    """Read the facts of a part, without what its sinks added.

    Raises
    ------
    CheckpointError
        If it cannot be read or is of another form.
    """
    with _opened(path) as archive:
        if archive.getinfo(_FACTS).file_size > FACTS_BYTES_MAX:
            raise ValueError("too large")
        facts: dict[str, Any] = json.loads(archive.read(_FACTS))
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a part of another release; expected form {FORMAT}: merge with the release "
            "that wrote it, or submit that part again"
        )
    return facts


def add_part(path: Path, sinks: Mapping[str, Sink]) -> None:
    """Add what the sinks of a part have added to these sinks.

    Raises
    ------
    CheckpointError
        If the file keeps other sinks, or an entry is damaged or does not fit its sink.
    OutputError
        If the disk is full.
    """
    with _opened(path) as archive:
        kept = entries_beside(archive, _FACTS)
        if kept != sorted(sinks):
            raise CheckpointError(
                f"{path} keeps {listed(kept)}; expected {listed(sorted(sinks))}, as its settings "
                "state: submit that part again"
            )
        read_entries(archive, {name: sink.add_from for name, sink in sinks.items()})


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a part; any fault of it becomes one error."""
    if not path.is_file():
        raise CheckpointError(
            f"{path} is not there; expected a part of a film, as 'recon-client submit --partial' "
            "writes it: name the files of all parts"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (CheckpointError, OutputError):
        raise
    except DAMAGES as error:
        raise damaged(path) from error


def damaged(path: Path) -> CheckpointError:
    """The error for a file that is no whole part."""
    return CheckpointError(
        f"{path} is damaged or no part of a film; expected what 'recon-client submit --partial' "
        "wrote: submit that part again"
    )
