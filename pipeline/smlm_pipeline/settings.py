"""The knobs of a reconstruction; each default lives here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError

DEFAULT_PIXEL_SIZE_NM = 100.0
"""Camera pixel in the sample plane, where neither the user nor the file tells."""


@dataclass(frozen=True)
class Settings:
    """How a film is cut into chunks, sent and drawn."""

    zoom: int = 8
    """Fine pixels along the edge of a camera pixel."""

    chunk_frames: int = 32
    """Frames of one request."""

    tile_px: int = contract.TILE_SIZES_PX[-1]
    """Largest edge of a tile; larger fields of view are cut into tiles."""

    in_flight: int = 2
    """Requests under way at once: one is computed while the next is on its way."""

    attempts: int = 5
    """How often a chunk is sent before the run fails, where another try may help."""

    level_frames: int = 128
    """Frames, evenly spread over the film, from which its levels are estimated."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _within("zoom", self.zoom, 1, 64)
        _within("chunk-frames", self.chunk_frames, 1, contract.MAX_FRAMES_PER_CHUNK)
        _within("tile", self.tile_px, contract.TILE_SIZES_PX[0], contract.TILE_SIZES_PX[-1])
        _within("in-flight", self.in_flight, 1, 64)
        _within("attempts", self.attempts, 1, 100)
        _within("level-frames", self.level_frames, 1, 10_000)
        if self.tile_px % contract.SIZE_MULTIPLE_PX:
            raise SettingError(
                f"tile is {self.tile_px} pixels; expected a multiple of {contract.SIZE_MULTIPLE_PX}"
            )


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingError(f"{name} is {value}; expected a whole number from {low} to {high}")
