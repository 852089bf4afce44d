"""Whether a file has changed since it was read, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written, replaced or made readable; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class Fault:
    """Reports what is wrong with a file, once for as long as it is the same.

    Parameters
    ----------
    report : callable
        Receives it.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report, self._text = report, ""

    def is_now(self, text: str) -> None:
        """Take what is wrong now; nothing, if the text is empty."""
        if text and text != self._text:
            self._report(text)
        self._text = text
