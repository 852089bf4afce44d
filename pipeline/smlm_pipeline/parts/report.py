"""The facts of a part of a film, for people and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PartReport:
    """The facts of a part; fields as in `Report`.

    ``part`` is its file, ``frames`` are first and last (excluded) of those asked for, of
    ``frames_of_film``, and ``requests`` is the number of chunks that begin in them.
    """

    part: str
    film: str
    frames: tuple[int, int]
    frames_of_film: int
    requests: int
    engine: str
    model: str
    model_version: str
    missing: list[dict[str, Any]]
    failures: int
    swapped_answers: int
    elapsed_s: float
    frames_per_s: float
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A few lines for people."""
        first, last = self.frames
        return (
            f"part     {self.part}  (frames {first:,} to {last:,} of {self.frames_of_film:,}, "
            f"{self.requests:,} requests)\n"
            f"speed    {self.frames_per_s:,.0f} frames/s ({self.elapsed_s:.1f} s, {self.engine}, "
            f"{self.model} version {self.model_version})"
        )
