"""The plan of a run: chunks, memory and concurrency, from the film's size. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import SettingError
from smlm_pipeline.run import chunking
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.concurrency import ConcurrencyLimit
from smlm_pipeline.run.memory_budget import memory_budget
from smlm_pipeline.settings import IN_FLIGHT_FIRST, IN_FLIGHT_MOST, Settings, frames_per_chunk

BYTES_MAX = 1 << 31
"""A message of gRPC is smaller than this; so is the memory that a request's maps may take."""


class FilmSize(Protocol):
    """The size of a film: the number of frames, their height and width, and what a reader holds."""

    frame_count: int
    height_px: int
    width_px: int
    decoded_bytes: int


@dataclass(frozen=True)
class RunPlan:
    """All that is decided before the first frame is sent.

    ``chunk_frames`` is the most frames of a chunk, ``tile_px`` the largest edge of a tile and
    ``zoom`` the number of SR pixels along the edge of a camera pixel. ``canvas_in_memory`` is
    false where the sum has to be in a file, and ``picture_edge_px`` is the longest edge of the
    picture. ``in_flight`` is the number of concurrent requests that the user fixed, if any;
    ``in_flight_most`` is the number that fits into ``memory_bytes``.
    """

    frame_count: int
    height_px: int
    width_px: int
    chunks: tuple[Chunk, ...]
    chunk_frames: int
    tile_px: int
    zoom: int
    memory_bytes: int
    canvas_in_memory: bool
    picture_edge_px: int
    in_flight: int | None
    in_flight_most: int

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Height and width of the sum with its margin, in SR pixels."""
        return image_shape(self.zoom, self.height_px, self.width_px)

    def concurrency(self, servers: int = 1) -> ConcurrencyLimit:
        """A new limit for a number of servers: fixed by the user, or adapting within memory."""
        if self.in_flight is not None:
            return ConcurrencyLimit(self.in_flight, self.in_flight)
        most = min(IN_FLIGHT_MOST * servers, self.in_flight_most)
        return ConcurrencyLimit(IN_FLIGHT_FIRST * servers, most, servers)

    def whole_frames(self, chunks: Iterable[Chunk]) -> float:
        """Size of some chunks in whole frames: a tile is a part of its frames."""
        pixels: int = sum(c.frame_count * c.tile.y.core_size * c.tile.x.core_size for c in chunks)
        frame_pixels: int = self.height_px * self.width_px
        return pixels / frame_pixels


def plan_run(film: FilmSize, settings: Settings, memory_bytes: int) -> RunPlan:
    """Plan a run: no file, no server and no clock is read.

    Parameters
    ----------
    film : FilmSize
        The film, of which only the size matters.
    settings : Settings
        How to cut, send and draw; its ``memory_bytes`` does not count here.
    memory_bytes : int
        The most memory of the client (`memory_budget.memory_limit_bytes`).

    Returns
    -------
    RunPlan
        The same for the same arguments.

    Raises
    ------
    SettingError
        If the film needs more memory than the limit, the sum of one chunk could not travel in
        one message, or its maps take too much.
    """
    size = film.frame_count, film.height_px, film.width_px
    chunk_frames = frames_per_chunk(settings, film.height_px, film.width_px)
    budget = memory_budget(
        *size,
        chunk_frames=chunk_frames,
        tile_px=settings.tile_px,
        zoom=settings.zoom,
        limit_bytes=memory_bytes,
        decoded_bytes=film.decoded_bytes,
    )
    chunks = chunking.plan(*size, chunk_frames=chunk_frames, tile_px=settings.tile_px)
    _check_size(chunks[0], settings)
    return RunPlan(
        *size,
        chunks=tuple(chunks),
        chunk_frames=chunk_frames,
        tile_px=settings.tile_px,
        zoom=settings.zoom,
        memory_bytes=memory_bytes,
        canvas_in_memory=budget.sum_in_memory,
        picture_edge_px=budget.picture_edge_px,
        in_flight=settings.in_flight,
        in_flight_most=budget.in_flight_most,
    )


def _check_size(chunk: Chunk, settings: Settings) -> None:
    """Refuse an answer that no message, or maps that no memory, would hold."""
    y, x = chunk.tile.y, chunk.tile.x
    values = chunk.frame_count * y.read_size * x.read_size * contract.MAP_ZOOM**2
    if settings.makes_maps and 4 * values >= BYTES_MAX:
        raise SettingError(
            f"{settings.model} makes maps of {4 * values / 2**30:.1f} GiB of one request; expected "
            "less than 2 GiB: choose a smaller --chunk-frames or --tile-px"
        )
    height, width = image_shape(settings.zoom, y.core_size, x.core_size)
    if 4 * height * width >= BYTES_MAX:
        raise SettingError(
            f"zoom {settings.zoom} makes an image of {height} x {width} pixels from one request; "
            "expected less than 2 GiB: choose a smaller --zoom or --tile-px"
        )
