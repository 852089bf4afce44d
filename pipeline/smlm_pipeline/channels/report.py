"""The facts of a run of two channels, for the terminal, JSON and the image's metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smlm_pipeline.dry_run import DryRun
from smlm_pipeline.film.selection import ALTERNATING
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.report import Report, table_line, whole_line

_HEADWORD = len("picture  ")
"""Characters of a line's headword, with the spaces behind it."""


@dataclass(frozen=True)
class ChannelsReport:
    """The facts of one run of two channels.

    ``channels`` has the report of each, by its name; ``registration`` states how the second one
    was registered to the first, and ``notes`` are sentences for the user on both. ``timings_s`` is
    that of the whole run (`smlm_pipeline.report.Report`); those of the channels are empty.
    """

    film: str
    image: str
    sum_image: str
    picture: str
    split: str
    channels: dict[str, Report]
    registration: dict[str, Any]
    sr_pixel_size_nm: float
    elapsed_s: float
    notes: list[str]
    timings_s: dict[str, float] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames of the film: each shows both channels, or one of them where they alternate."""
        counts = [each.frames for each in self.channels.values()]
        return sum(counts) if self.split == ALTERNATING else max(counts)

    @property
    def emitters(self) -> float:
        """Emitters of both channels, before the second one was moved."""
        return sum(each.emitters for each in self.channels.values())

    def as_dict(self) -> dict[str, Any]:
        """All fields, and those of both channels together that are not a channel's, for JSON."""
        first = next(iter(self.channels.values()))
        return {
            **asdict(self),
            "frames": self.frames,
            "emitters": self.emitters,
            "pixel_size_nm": first.pixel_size_nm,
            "frames_per_s": self.frames / self.elapsed_s,
        }

    def provenance(self) -> dict[str, Any]:
        """The facts for the image's metadata, without the names of this machine's folders."""
        return {
            "film": Path(self.film).name,
            "split": self.split,
            "registration": self.registration,
            "channels": {name: each.provenance() for name, each in self.channels.items()},
            "notes": self.notes,
            "value": "expected number of emitters per pixel",
        }

    def image_facts(self, *without: str) -> ImageFacts:
        """What the image's file states; of the image before these steps, where some are named."""
        provenance = self.provenance()
        for each in provenance["channels"].values():
            each.update(dict.fromkeys(without))
        acquired = next(iter(self.channels.values())).acquired
        return ImageFacts(self.sr_pixel_size_nm, provenance, Path(self.film).name, acquired)

    def as_text(self) -> str:
        """A few lines for people."""
        found = "".join(
            f"found    {each.emitters:,.0f} emitters in {each.frames:,} frames of {name}\n"
            for name, each in self.channels.items()
        )
        first = next(iter(self.channels.values()))
        tables = (each.molecules for each in self.channels.values())
        found += "".join(f"{table_line(table)}\n" for table in tables if table)
        return (
            f"image    {self.image}  (2 channels, {self.sr_pixel_size_nm:g} nm pixels, float32)\n"
            f"picture  {self.picture}\n"
            f"{self._registration_text()}"
            f"{first.drift_line}"
            f"{self._of_each('resolution_line')}"
            f"{self._of_each('error_line')}"
            f"{self._of_each('refinement_line')}"
            f"{found}"
            f"speed    {self.elapsed_s:.1f} s, {first.engine}, {first.model} version "
            f"{first.model_version}{whole_line(self.timings_s)}"
        )

    def _of_each(self, line: str) -> str:
        """A line of the report of each channel, with its name after the headword."""
        lines = {name: getattr(each, line) for name, each in self.channels.items()}
        cut = _HEADWORD
        return "".join(f"{text[:cut]}{name}: {text[cut:]}" for name, text in lines.items() if text)

    def _registration_text(self) -> str:
        facts = self.registration
        if facts["method"] == "none":
            return "aligned  not registered; see the notes\n"
        return (
            f"aligned  by {facts['method']}: {facts['shift_x_nm']:+,.1f} nm in x, "
            f"{facts['shift_y_nm']:+,.1f} nm in y, error {facts['error_nm']:.1f} nm\n"
        )


@dataclass(frozen=True)
class ChannelsDryRun:
    """The plan of each of two channels, by its name."""

    channels: dict[str, DryRun]

    @property
    def notes(self) -> list[str]:
        """The notes on both, each once."""
        notes = (note for each in self.channels.values() for note in each.notes)
        return list(dict.fromkeys(notes))

    @property
    def warnings(self) -> list[str]:
        """Those of the notes that are urgent."""
        return [note for each in self.channels.values() for note in each.warnings]

    def as_dict(self) -> dict[str, Any]:
        """All facts, for JSON."""
        plans = {name: each.as_dict() for name, each in self.channels.items()}
        first = next(iter(plans.values()))
        return {"film": first["film"], "image": first["image"], "channels": plans}

    def as_text(self) -> str:
        """A few lines for people."""
        return "\n".join(f"{name}: {each.as_text()}" for name, each in self.channels.items())
