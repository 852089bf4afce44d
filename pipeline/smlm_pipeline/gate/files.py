"""Whether a file has changed since it was read, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from smlm_pipeline.errors import SettingError

Read = TypeVar("Read")
"""What a file holds."""


def stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written, replaced or made readable; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class Fault:
    """Reports what is wrong, once for as long as it is the same.

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


class Certified(Generic[Read]):
    """Files of certificates that are read again when one has changed.

    Parameters
    ----------
    files : iterable of Path or None
        All of them; None stands for one that is not given.
    read : callable
        Reads and checks them. It may raise `SettingError` or OSError: then what was read before
        stays, and they are read again the next time, since they may be usable later.
    report : callable
        Receives a line when they were read again, or cannot be used.
    """

    def __init__(
        self,
        files: Iterable[Path | None],
        read: Callable[[], Read],
        *,
        report: Callable[[str], None],
    ) -> None:
        self._files = [file for file in files if file is not None]
        self._read, self._report, self._fault = read, report, Fault(report)
        self._stamps = self._stamps_now()

    def changed(self) -> Read | None:
        """What they hold now, if they have changed and can be used; else None."""
        stamps_now = self._stamps_now()
        if stamps_now == self._stamps:
            return None
        try:
            read = self._read()
        except (SettingError, OSError) as error:
            self._fault.is_now(f"{error}; the certificates before stay")
            return None
        self._stamps = stamps_now
        self._fault.is_now("")
        self._report(f"{self._files[0]} is read again")
        return read

    def _stamps_now(self) -> list[object]:
        return [stamp(file) for file in self._files]
