"""The files of a report as a page, beside an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PageFiles:
    """``STEM.report.html`` and ``STEM.report.json``.

    Parameters
    ----------
    stem : Path
        The image's path without its ending.
    """

    stem: Path

    @property
    def page(self) -> Path:
        """The page, for a browser."""
        return self.stem.with_name(f"{self.stem.name}.report.html")

    @property
    def numbers(self) -> Path:
        """The numbers of the page, as JSON."""
        return self.stem.with_name(f"{self.stem.name}.report.json")

    @property
    def all(self) -> tuple[Path, ...]:
        """Both files."""
        return self.page, self.numbers
