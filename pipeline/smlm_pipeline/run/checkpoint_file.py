"""The file of a checkpoint: a zip of ``checkpoint.json`` and the state of each sink.

One file, because the states and the list of merged chunks must be of one moment; and it
replaces its predecessor whole or not at all, so a valid one exists whenever the program is
killed. NumPy opens it: the sum is its entry ``sum.npy``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.errors import CheckpointError
from smlm_pipeline.run.sink_archive import (
    DAMAGES,
    FORMAT,
    entries_beside,
    listed,
    read_entries,
    write_entries,
)
from smlm_pipeline.run.sinks import Sink

_FACTS = "checkpoint.json"


def write_checkpoint(path: Path, facts: Mapping[str, object], sinks: Mapping[str, Sink]) -> None:
    """Write the states of all sinks and the facts that belong to them.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    facts : Mapping
        What the states are of, for JSON.
    sinks : Mapping of str to Sink
        The sinks, by their entries in the file.

    Raises
    ------
    OutputError
        If it cannot be written; an earlier file of that name is unchanged.
    """
    with written_whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        write_entries(archive, _FACTS, facts, {name: sink.write_to for name, sink in sinks.items()})


def read_facts(path: Path) -> dict[str, Any]:
    """Read the facts of a checkpoint, without its sinks.

    Raises
    ------
    CheckpointError
        If it cannot be read or is of another form.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_larger_than_file(archive)
            facts: dict[str, Any] = json.loads(archive.read(_FACTS))
    except DAMAGES as error:
        raise _damaged(path) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a checkpoint of another release; expected form {FORMAT}: continue with "
            "the release that began it, or start over with --overwrite instead of --resume"
        )
    return facts


def read_sinks(path: Path, sinks: Mapping[str, Sink]) -> None:
    """Restore the sinks, whose own states are lost.

    Raises
    ------
    CheckpointError
        If the file keeps other sinks, or a state is damaged or does not fit its sink.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_larger_than_file(archive)
            kept = entries_beside(archive, _FACTS)
            if kept != sorted(sinks):
                raise CheckpointError(
                    f"{path} keeps {listed(kept)}; expected {listed(sorted(sinks))}, the parts "
                    "of this run: use the options of the interrupted run, or start over with "
                    "--overwrite instead of --resume"
                )
            read_entries(archive, {name: sink.read_from for name, sink in sinks.items()})
    except DAMAGES as error:
        raise _damaged(path) from error


def _refuse_larger_than_file(archive: zipfile.ZipFile) -> None:
    """Refuse compressed entries, which this program never writes: they may grow without a bound.

    Raises
    ------
    ValueError
        If there is one.
    """
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"{entry.filename} is compressed")


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or no checkpoint; expected the file that an interrupted run left: "
        "start over with --overwrite instead of --resume"
    )
