"""The plan of a run, for the terminal and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smlm_pipeline.run.plan import RunPlan


@dataclass(frozen=True)
class DryRun:
    """The plan of a job, its film, image and table; ``warnings`` are the urgent notes.

    ``part`` is the file of a part of the film, if that is to be written instead of the image.
    """

    film: str
    image: str
    molecules: str | None
    plan: RunPlan
    pixel_size_nm: float
    selection: dict[str, Any]
    missing: list[dict[str, Any]]
    warnings: list[str]
    notes: list[str]
    part: str | None = None

    @property
    def chunk_frames(self) -> int:
        """Frames of the largest request."""
        return self.plan.chunks[0].frame_count if self.plan.chunks else 0

    @property
    def in_flight(self) -> int:
        """Concurrent requests to one server at the start."""
        return self.plan.concurrency().limit

    def as_dict(self) -> dict[str, Any]:
        """All facts, for JSON; keys carry their units."""
        return {
            "film": self.film,
            "image": self.image,
            "molecules": self.molecules,
            "part": self.part,
            "frames": self.plan.frame_count,
            "height_px": self.plan.height_px,
            "width_px": self.plan.width_px,
            "pixel_size_nm": self.pixel_size_nm,
            "zoom": self.plan.zoom,
            "requests": len(self.plan.chunks),
            "chunk_frames": self.chunk_frames,
            "in_flight": self.in_flight,
            "memory_bytes": self.plan.memory_bytes,
            "sum_in_memory": self.plan.canvas_in_memory,
            "selection": self.selection,
            "missing": self.missing,
            "notes": self.notes,
        }

    def as_text(self) -> str:
        """A few lines for people."""
        plan, zoom = self.plan, self.plan.zoom
        image = f"{plan.height_px * zoom} x {plan.width_px * zoom}"
        table = f" and {self.molecules}" if self.molecules else ""
        place = "in memory" if plan.canvas_in_memory else "in a file beside the image"
        return (
            f"{plan.frame_count} frames of {plan.height_px} x {plan.width_px} pixels of "
            f"{self.pixel_size_nm:g} nm -> {image} pixels of {self.pixel_size_nm / zoom:g} nm\n"
            f"at most {plan.memory_bytes / 2**20:,.0f} MiB of memory, the sum {place}\n"
            f"{len(plan.chunks)} requests of up to {self.chunk_frames} frames, {self.in_flight} at "
            f"once -> {self.part or self.image + table}"
        )
