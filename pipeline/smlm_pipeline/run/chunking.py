"""Cuts a film into chunks: tiles of the field of view, and ranges of frames. Pure.

A field of view that is larger than a tile is cut into tiles that overlap by a
halo. The network reads the whole tile, and only the detections of its tile core
count; cores do not overlap and cover the field::

    +--------------------------+
    | read region (sent)       |
    |   +------------------+   |
    |   | core (counted)   |   |
    |   +------------------+   |
    |<->| halo                 |
    +--------------------------+

At the edges of the field a core reaches to the edge. A read region starts at a
multiple of ``SIZE_MULTIPLE_PX`` and has such a size, so it may reach beyond the
lower and right edges of the field, where the last row and column are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

from smlm_pipeline import contract
from smlm_pipeline.compute.window import Window


@dataclass(frozen=True)
class Span:
    """One axis of a tile: the read region and the tile core, in camera pixels."""

    read_start: int
    read_size: int
    core_start: int
    core_size: int


@dataclass(frozen=True)
class Tile:
    """A rectangle of the field of view."""

    y: Span
    x: Span

    def window(self, zoom: int) -> Window:
        """What to answer: the core within the read region."""
        return Window(
            zoom,
            self.y.core_start - self.y.read_start,
            self.x.core_start - self.x.read_start,
            self.y.core_size,
            self.x.core_size,
        )


@dataclass(frozen=True)
class Chunk:
    """One request: the frames ``first_frame`` up to ``last_frame`` (excluded) of a tile."""

    index: int
    first_frame: int
    last_frame: int
    tile: Tile

    @property
    def frame_count(self) -> int:
        """Number of frames that the chunk sums."""
        return self.last_frame - self.first_frame


def plan(
    frame_count: int,
    height_px: int,
    width_px: int,
    *,
    chunk_frames: int,
    tile_px: int,
    part_frames: int | None = None,
) -> list[Chunk]:
    """All chunks of a film, frame range by frame range.

    Every pixel of every frame is in the core of exactly one chunk.

    Parameters
    ----------
    frame_count, height_px, width_px : int
        Size of the film.
    chunk_frames : int
        Most frames of a chunk.
    tile_px : int
        Largest edge of a read region, a multiple of ``SIZE_MULTIPLE_PX``.
    part_frames : int, optional
        Frames of a part of the film: no chunk is in two of them.

    Returns
    -------
    list of Chunk
        Their ``index`` counts from zero in this order.
    """
    tiles = [Tile(y, x) for y in _spans(height_px, tile_px) for x in _spans(width_px, tile_px)]
    step = part_frames or max(frame_count, 1)
    parts = [(first, min(first + step, frame_count)) for first in range(0, frame_count, step)]
    ranges = [
        (first, min(first + chunk_frames, end))
        for start, end in parts
        for first in range(start, end, chunk_frames)
    ]
    places = [(first, last, tile) for first, last in ranges for tile in tiles]
    return [Chunk(index, *place) for index, place in enumerate(places)]


def _spans(size_px: int, tile_px: int) -> list[Span]:
    """Cut one axis into tiles; the cores are as equal as the grid of multiples allows."""
    multiple, padded = contract.SIZE_MULTIPLE_PX, contract.padded_px(size_px)
    if padded <= tile_px:
        return [Span(0, padded, 0, size_px)]
    step = tile_px - 2 * contract.HALO_PX
    count = -(-(padded - 2 * contract.HALO_PX) // step)
    last_start = padded - tile_px
    starts = [last_start * place // (count - 1) // multiple * multiple for place in range(count)]
    cores = [0, *(start + contract.HALO_PX for start in starts[1:]), size_px]
    return [
        Span(start, tile_px, core, following - core)
        for start, core, following in zip(starts, cores[:-1], cores[1:], strict=True)
    ]
