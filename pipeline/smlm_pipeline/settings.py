"""The knobs of a reconstruction; each default lives here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError

DEFAULT_PIXEL_SIZE_NM = 100.0
"""Camera pixel in the sample plane, where neither the user nor the file tells."""


CHUNK_PIXELS, CHUNK_FRAMES_MOST = 2 << 20, 32
"""Camera pixels and frames of a request where the user does not say."""


@dataclass(frozen=True)
class Settings:
    """How a film is cut into chunks, sent and drawn."""

    zoom: int = 8
    """Fine pixels along the edge of a camera pixel."""

    chunk_frames: int | None = None
    """Frames of one request; by default as many as make about two megapixels, at most 32."""

    tile_px: int = contract.TILE_SIZES_PX[-1]
    """Largest edge of a tile; larger fields of view are cut into tiles."""

    in_flight: int = 2
    """Requests under way at once: one is in the network while others are read, sent and drawn."""

    attempts: int = 5
    """How often a chunk is sent before the run fails, where another try may help."""

    level_frames: int = 128
    """Frames, evenly spread over the film, from which its levels are estimated."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _within("zoom", self.zoom, 1, contract.MAX_ZOOM)
        if self.chunk_frames is not None:
            _within("chunk-frames", self.chunk_frames, 1, contract.MAX_FRAMES_PER_CHUNK)
        _within("tile", self.tile_px, contract.TILE_SIZES_PX[0], contract.TILE_SIZES_PX[-1])
        _within("in-flight", self.in_flight, 1, 64)
        _within("attempts", self.attempts, 1, 100)
        _within("level-frames", self.level_frames, 1, 10_000)
        if self.tile_px % contract.SIZE_MULTIPLE_PX:
            raise SettingError(
                f"tile is {self.tile_px} pixels; expected a multiple of {contract.SIZE_MULTIPLE_PX}"
            )


def frames_per_chunk(settings: Settings, height_px: int, width_px: int) -> int:
    """Frames of one request, for a field of view of this size.

    Few enough to keep two requests in memory on both sides and the progress bar
    moving, enough that the one image that comes back is a small part of the work.
    """
    if settings.chunk_frames is not None:
        return settings.chunk_frames
    tile_pixels = min(height_px, settings.tile_px) * min(width_px, settings.tile_px)
    return max(min(CHUNK_PIXELS // tile_pixels, CHUNK_FRAMES_MOST), 1)


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingError(f"{name} is {value}; expected a whole number from {low} to {high}")
