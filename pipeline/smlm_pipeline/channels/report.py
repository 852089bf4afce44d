"""The facts of a run of two channels, for the terminal, JSON and the image's metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smlm_pipeline.dry_run import DryRun
from smlm_pipeline.report import Report


@dataclass(frozen=True)
class ChannelsReport:
    """The facts of one run of two channels.

    ``channels`` has the report of each, by its name; ``registration`` states how the second one
    was registered to the first, and ``notes`` are sentences for the user on both.
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

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

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

    def provenance_of_sums(self) -> dict[str, Any]:
        """Those of the plain sums beside refined images."""
        kept = self.provenance()
        plain = {name: {**each, "refinement": None} for name, each in kept["channels"].items()}
        return {**kept, "channels": plain}

    def as_text(self) -> str:
        """A few lines for people."""
        found = "".join(
            f"found    {each.emitters:,.0f} emitters in {each.frames:,} frames of {name}\n"
            for name, each in self.channels.items()
        )
        first = next(iter(self.channels.values()))
        plain = f"sums     {self.sum_image}\n" if self.sum_image else ""
        tables = (each.molecules for each in self.channels.values())
        found += "".join(
            f"table    {table['file']}  ({table['rows']:,} molecules)\n"
            for table in tables
            if table
        )
        return (
            f"image    {self.image}  (2 channels, {self.sr_pixel_size_nm:g} nm pixels, float32)\n"
            f"{plain}"
            f"picture  {self.picture}\n"
            f"{self._registration_text()}"
            f"{found}"
            f"speed    {self.elapsed_s:.1f} s, {first.engine}, {first.model} version "
            f"{first.model_version}"
        )

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
