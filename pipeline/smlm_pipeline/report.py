"""What a finished run says of itself: on the terminal, as JSON and in the image's metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.engines import Engine
from smlm_pipeline.losses import parts
from smlm_pipeline.reconstruct import Reconstruction
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import Stack

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
    stack: Stack,
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
