"""A sum and what it covers, in one file: a zip of ``ledger.json`` and ``sum.npy``, as NumPy opens.

One file, because the sum and what it covers must be of one moment; and it replaces its
forerunner whole or not at all, so there is a valid one whenever the program is killed.
"""

from __future__ import annotations

import json
import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.errors import CheckpointError
from smlm_pipeline.film.formats.refusals import DAMAGE
from smlm_pipeline.run.canvas import Canvas

FORMAT = 1
"""Version of the file's form."""

_FACTS, _SUM = "ledger.json", "sum.npy"
_BAND_BYTES = 1 << 24

_DAMAGE = (*DAMAGE, OSError, zipfile.BadZipFile, SyntaxError, tokenize.TokenError)
"""What a zip or the header of an array raises where bits were lost: NumPy parses it as Python."""


def write_ledger(path: Path, facts: Mapping[str, object], canvas: Canvas) -> None:
    """Write the sum of a canvas and the facts that belong to it, a band of rows at a time.

    Raises
    ------
    OutputError
        If it cannot be written; an earlier file of that name is as it was then.
    """
    header = {"descr": "<i8", "fortran_order": False, "shape": canvas.shape}
    with written_whole(path) as file, zipfile.ZipFile(file, "w") as ledger:
        ledger.writestr(_FACTS, json.dumps({"format": FORMAT, **facts}, indent=2))
        with ledger.open(_SUM, "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)  # type: ignore[no-untyped-call]
            for first, last in _bands(canvas.shape):
                entry.write(np.ascontiguousarray(canvas.rows(first, last), "<i8").data)


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a ledger, without its sum.

    Raises
    ------
    CheckpointError
        If it cannot be read or is of another form.
    """
    try:
        with zipfile.ZipFile(path) as ledger:
            facts: dict[str, Any] = json.loads(ledger.read(_FACTS))
    except _DAMAGE as error:
        raise _damaged(path) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a ledger of another release; expected form {FORMAT}: go on with the "
            "release that began it, or start anew with --overwrite instead of --resume"
        )
    return facts


def read_sum(path: Path, canvas: Canvas) -> None:
    """Put the sum of a ledger into a canvas, whose own is lost.

    Raises
    ------
    CheckpointError
        If it is damaged or of another shape.
    """
    width = canvas.shape[1]
    try:
        with zipfile.ZipFile(path) as ledger, ledger.open(_SUM) as entry:
            _check_header(entry, canvas.shape)
            for first, last in _bands(canvas.shape):
                band = np.frombuffer(entry.read(8 * width * (last - first)), "<i8")
                canvas.put(first, band.reshape(last - first, width))
            if entry.read(1):  # reading to the end also checks the checksum
                raise ValueError("longer than its header says")
    except _DAMAGE as error:
        raise _damaged(path) from error


def _bands(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """First and last row (excluded) of what is in memory at once."""
    height, width = shape
    rows = max(_BAND_BYTES // (8 * width), 1)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _check_header(entry: IO[bytes], shape: tuple[int, int]) -> None:
    """Refuse a sum of another shape or type."""
    if np.lib.format.read_magic(entry) != (1, 0):  # type: ignore[no-untyped-call]
        raise ValueError("of another form")
    found, fortran_order, dtype = np.lib.format.read_array_header_1_0(entry)  # type: ignore[no-untyped-call]
    if (found, fortran_order, dtype) != (shape, False, np.dtype("<i8")):
        raise ValueError("of another shape")


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or no ledger; expected what an interrupted run left: start anew with "
        "--overwrite instead of --resume"
    )
