"""What a finished run says of itself: on the terminal, as JSON and in the image's metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.job import Submission
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.run import memory_budget
from smlm_pipeline.run.missing import parts
from smlm_pipeline.run.plan import plan_chunks
from smlm_pipeline.settings import IN_FLIGHT_FIRST, Settings

NOTHING_FOUND = (
    "found no emitter at all, so the image is empty; expected a film of blinking molecules: look "
    "at its frames, and at the ranges that the network was trained for (README, Limits)"
)
"""What is said where the sum of the image is below one."""


@dataclass(frozen=True)
class Report:
    """The facts of one run; field names carry their units."""

    stack: str
    image: str
    picture: str
    engine: str
    model: str
    model_version: str
    contract_version: int
    software: str
    frames: int
    chunks: int
    zoom: int
    pixel_size_nm: float
    sr_pixel_size_nm: float
    background_adu: float
    scale_adu: float
    emitters: float
    missing: list[dict[str, Any]]
    failures: int
    elapsed_s: float
    frames_per_s: float
    selection: dict[str, Any]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    def provenance(self) -> dict[str, Any]:
        """What belongs into the image's metadata: nothing that names this machine's folders."""
        kept = self.as_dict()
        del kept["image"], kept["picture"]
        kept["stack"] = Path(self.stack).name
        kept["value"] = "expected number of emitters per pixel"
        return kept

    def as_text(self) -> str:
        """A few lines for people."""
        return (
            f"image    {self.image}  ({self.sr_pixel_size_nm:g} nm pixels, float32)\n"
            f"picture  {self.picture}\n"
            f"found    {self.emitters:,.0f} emitters in {self.frames:,} frames\n"
            f"speed    {self.frames_per_s:,.0f} frames/s "
            f"({self.elapsed_s:.1f} s, {self.engine}, {self.model} version {self.model_version})"
        )


def report(
    result: Reconstruction,
    settings: Settings,
    engine: Engine,
    stack: Film,
    *,
    image: Path,
    picture: Path,
    pixel_size_nm: float,
    notes: list[str],
) -> Report:
    """Put the facts of a run together; what was not found or is missing gets a note."""
    emitters = result.pixels.emitters()
    added = [] if emitters >= 1 else [NOTHING_FOUND]
    if result.missing:
        added.append(_missing_note(result))
    if result.failures:
        added.append(_failures_note(result))
    return Report(
        stack=str(stack.path),
        image=str(image),
        picture=str(picture),
        engine=engine.description,
        model=settings.model,
        model_version=engine.model_version,
        contract_version=contract.CONTRACT_VERSION,
        software=f"smlm-recon {smlm_pipeline.__version__}",
        frames=result.frame_count,
        chunks=result.chunk_count,
        zoom=settings.zoom,
        pixel_size_nm=pixel_size_nm,
        sr_pixel_size_nm=pixel_size_nm / settings.zoom,
        background_adu=float(result.levels_adu[0]),
        scale_adu=float(result.levels_adu[1]),
        emitters=emitters,
        missing=parts(result.missing, stack.corner),
        failures=result.failures,
        elapsed_s=result.elapsed_s,
        frames_per_s=result.frames_per_s,
        selection=asdict(stack.selection),
        notes=[*notes, *added],
    )


def _failures_note(result: Reconstruction) -> str:
    """That the servers are worth a look, though the image is none the worse."""
    times = "once" if result.failures == 1 else f"{result.failures:,} times"
    return (
        f"requests failed {times} for reasons that may pass (a server that is full, stops or dies) "
        "and were sent again; 'recon-client status --canary' tells which servers work"
    )


def _missing_note(result: Reconstruction) -> str:
    """Which frames the image lacks."""
    frames = {
        frame for each in result.missing for frame in range(each.first_frame, each.last_frame)
    }
    return (
        f"{len(frames):,} of {result.frame_count:,} frames are missing from the image, wholly or "
        f"in part (its metadata tells which): {result.reason}"
    )


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
    with open_film(asked.stack, asked.selection) as film:
        asked.check()
        chunks = plan_chunks(film, settings)
        room = memory_budget.memory_budget(
            film.frame_count, film.height_px, film.width_px, settings
        )
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
