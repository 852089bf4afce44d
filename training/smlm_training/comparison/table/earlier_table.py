"""A table that lies in the folder already: whether a new one may take its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smlm_pipeline.errors import OutputError
from smlm_training.comparison.table.film import ComparedFilm

TABLE = "table.json"

_WHAT_TO_DO = "take another folder with -o, or give --overwrite (kept results stay in any case)"


def check_output(folder: Path) -> None:
    """Refuse what cannot be a folder, before hours of work.

    Raises
    ------
    OutputError
        If there is a file of that name, or one in its way.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise OutputError(f"{there} is a file; expected a folder, or a name for one, behind -o")


def check_replaceable(folder: Path, film: ComparedFilm, names: Sequence[str]) -> None:
    """Refuse to replace a table of another film or other frames, or one that has more rows.

    What loses no row is no loss: a call that is repeated or goes on, or names more methods.

    Parameters
    ----------
    folder : Path
        Of the table.
    film : ComparedFilm
        The film of the new one.
    names : sequence of str
        Its methods.

    Raises
    ------
    OutputError
        If the table there may not be replaced.
    """
    path = folder / TABLE
    if not path.exists():
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        methods = [str(row["method"]) for row in there["rows"]]
        first, last = there["frames"]
        what = f"a table of {there['film']}, frames {first} to {last - 1}, by {', '.join(methods)}"
        reason = _difference(there, film, [each for each in methods if each not in names])
    except (OSError, ValueError, LookupError, TypeError):
        what, reason = "something else", "it is no table of 'recon-bench table'"
    if reason:
        raise OutputError(f"{path} is {what}: {reason}; {_WHAT_TO_DO}")


def rows_in(folder: Path) -> int:
    """Rows of the table in a folder; 0 without one."""
    try:
        return len(json.loads((folder / TABLE).read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _difference(there: dict[str, Any], film: ComparedFilm, lost: Sequence[str]) -> str:
    """What would be lost, in words; none if nothing is."""
    if [film.first_frame, film.first_frame + len(film.frames_adu)] != there["frames"]:
        return "other frames than these"
    if film.sha256 != there["sha256"]:
        return "another film than this one, or other positions"
    if film.told() != there["facts"]:
        return "made with other facts of optics and camera than these"
    return f"the new one would lack {', '.join(lost)}" if lost else ""
