"""Chunks that an image lacks, where the user allows it, and their report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from smlm_pipeline.errors import ReconError, ServerError, is_of_chunk
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.run.chunking import Chunk

_Region: TypeAlias = tuple[int, int, int, int]
"""x, y, width and height, in camera pixels."""


class Missing:
    """Chunks that failed for good.

    ``reason`` is the error of the first of them, and ``chunks`` are all that the image lacks,
    in the order of their plan.

    Parameters
    ----------
    allowed : bool
        Whether an image may lack chunks; if not, the first one ends the run.
    """

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.reason: ReconError | None = None
        self.chunks: tuple[Chunk, ...] = ()

    def leave_out(self, _chunk: Chunk, error: ReconError) -> None:
        """Leave a chunk out, if that is allowed.

        Raises
        ------
        ReconError
            The given error, if the run must end.
        """
        self.reason = self.reason or error
        if not (self.allowed and is_of_chunk(error)):
            raise error

    def close(self, chunks: Sequence[Chunk], chunk_count: int) -> None:
        """State the chunks that the image lacks, of ``chunk_count``; refuse an empty image.

        Raises
        ------
        ReconError
            The error of the first chunk that failed, if all are missing.
        """
        self.chunks = tuple(chunks)
        if self.reason is not None and len(chunks) == chunk_count:
            raise self.reason

    def rest(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Those of the chunks that the image has."""
        lacking = {chunk.index for chunk in self.chunks}
        return [chunk for chunk in chunks if chunk.index not in lacking]

    def note(self, frame_count: int) -> str:
        """The note on the frames that the image of a film of so many lacks."""
        spans = (range(each.first_frame, each.last_frame) for each in self.chunks)
        frames = {frame for span in spans for frame in span}
        return (
            f"{len(frames):,} of {frame_count:,} frames are missing from the image, wholly or in "
            f"part (its metadata lists them): {self.reason}"
        )

    @contextmanager
    def end_of_server(self) -> Iterator[None]:
        """Finish the image with the answers so far when the server is gone for good."""
        try:
            yield
        except ServerError:
            if not self.allowed:
                raise


def parts(chunks: Iterable[Chunk], corner: Corner) -> list[dict[str, Any]]:
    """Frames and regions of some chunks, joined where they adjoin.

    Parameters
    ----------
    chunks : iterable of Chunk
        In the order of their plan.
    corner : Corner
        Where the film begins in its file, and the numbers of its frames there.

    Returns
    -------
    list of dict
        ``frames`` first, last (excluded) and, where it is not one, the step; ``roi_px`` x, y,
        width, height; both as the file counts them.
    """
    regions: dict[tuple[int, int], list[_Region]] = {}
    for chunk in chunks:
        y, x = chunk.tile.y, chunk.tile.x
        region = corner.x_px + x.core_start, corner.y_px + y.core_start, x.core_size, y.core_size
        regions.setdefault((chunk.first_frame, chunk.last_frame), []).append(region)
    ends: dict[_Region, list[list[int]]] = {}
    for (first, last), tiles in regions.items():
        for region in _as_one(tiles):
            ranges = ends.setdefault(region, [])
            if ranges and ranges[-1][1] == first:
                ranges[-1][1] = last
            else:
                ranges.append([first, last])
    return [
        part_of(numbers, region)
        for region, ranges in ends.items()
        for first, last in ranges
        for numbers in corner.numbers(first, last)
    ]


def part_of(frames: range, region_px: _Region) -> dict[str, Any]:
    """Frames and a region of them, for JSON; see `parts`."""
    step = [frames.step] if frames.step > 1 else []
    return {"frames": [frames.start, frames.stop, *step], "roi_px": list(region_px)}


def _as_one(tiles: list[_Region]) -> list[_Region]:
    """The rectangle that the tiles fill, or the tiles; they do not overlap."""
    left, top = (min(tile[axis] for tile in tiles) for axis in (0, 1))
    right, bottom = (max(tile[axis] + tile[axis + 2] for tile in tiles) for axis in (0, 1))
    whole = left, top, right - left, bottom - top
    covered = sum(width * height for _, _, width, height in tiles)
    return [whole] if covered == whole[2] * whole[3] else tiles
