"""What ``submit --dry-run`` tells: the sizes, the requests and the memory, without any work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from smlm_pipeline import memory
from smlm_pipeline.reconstruct import plan_chunks
from smlm_pipeline.settings import IN_FLIGHT_FIRST
from smlm_pipeline.stack import open_stack
from smlm_pipeline.submission import Submission


@dataclass(frozen=True)
class Plan:
    """The facts of a run that has not been; field names carry their units."""

    stack: str
    image: str
    frames: int
    height_px: int
    width_px: int
    pixel_size_nm: float
    zoom: int
    requests: int
    chunk_frames: int
    in_flight: int
    memory_bytes: int
    sum_in_memory: bool
    selection: dict[str, Any]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A few lines for people."""
        fine = f"{self.height_px * self.zoom} x {self.width_px * self.zoom}"
        place = "in memory" if self.sum_in_memory else "in a file beside the image"
        return (
            f"{self.frames} frames of {self.height_px} x {self.width_px} pixels of "
            f"{self.pixel_size_nm:g} nm -> {fine} pixels of {self.pixel_size_nm / self.zoom:g} nm\n"
            f"at most {self.memory_bytes / 2**20:,.0f} MiB of memory, the sum {place}\n"
            f"{self.requests} requests of up to {self.chunk_frames} frames, {self.in_flight} at "
            f"once -> {self.image}"
        )


def plan(asked: Submission) -> Plan:
    """Open the film, check all that `submit` checks before its work, and tell.

    Raises
    ------
    ReconError
        As `submit` does, before an engine is opened.
    """
    settings = asked.settings
    with open_stack(asked.stack, asked.selection) as film:
        asked.check()
        chunks = plan_chunks(film, settings)
        room = memory.room(film.frame_count, film.height_px, film.width_px, settings)
        return Plan(
            stack=str(film.path),
            image=str(asked.image),
            frames=film.frame_count,
            height_px=film.height_px,
            width_px=film.width_px,
            pixel_size_nm=asked.camera_pixel_nm(film),
            zoom=settings.zoom,
            requests=len(chunks),
            chunk_frames=chunks[0].frame_count,
            in_flight=settings.in_flight or min(IN_FLIGHT_FIRST, room.in_flight_most),
            memory_bytes=room.limit_bytes,
            sum_in_memory=room.sum_in_memory,
            selection=asdict(film.selection),
            notes=asked.notes(film),
        )
