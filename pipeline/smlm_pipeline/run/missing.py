"""What may be left out of an image where the user allows it, and how that is told."""

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

    Parameters
    ----------
    allowed : bool
        Whether an image may lack them; if not, the first one ends the run.
    """

    def __init__(self, *, allowed: bool) -> None:
        self.allowed = allowed
        self.reason: ReconError | None = None

    def leave_out(self, _chunk: Chunk, error: ReconError) -> None:
        """Leave a chunk out, if that may be.

        Raises
        ------
        ReconError
            The given one, if the run is to end.
        """
        self.reason = self.reason or error
        if not (self.allowed and is_of_chunk(error)):
            raise error

    def refuse_nothing(self, missing: Sequence[Chunk], chunks: Sequence[Chunk]) -> None:
        """Refuse an image of nothing.

        Raises
        ------
        ReconError
            Why the first chunk failed, if all did.
        """
        if self.reason is not None and len(missing) == len(chunks):
            raise self.reason

    @contextmanager
    def end_of_server(self) -> Iterator[None]:
        """Let the image be made of what there is when the server is gone for good."""
        try:
            yield
        except ServerError:
            if not self.allowed:
                raise


def parts(chunks: Iterable[Chunk], corner: Corner) -> list[dict[str, Any]]:
    """Frames and regions that some chunks cover, joined where they are one.

    Parameters
    ----------
    chunks : iterable of Chunk
        In the order of their plan.
    corner : Corner
        Where the part of the file that was taken begins.

    Returns
    -------
    list of dict
        ``frames`` first and last (excluded), ``roi_px`` x, y, width, height; both as the
        file counts.
    """
    regions: dict[tuple[int, int], list[_Region]] = {}
    for chunk in chunks:
        y, x = chunk.tile.y, chunk.tile.x
        region = corner.x_px + x.core_start, corner.y_px + y.core_start, x.core_size, y.core_size
        frames = corner.frame + chunk.first_frame, corner.frame + chunk.last_frame
        regions.setdefault(frames, []).append(region)
    ends: dict[_Region, list[list[int]]] = {}
    for (first, last), tiles in regions.items():
        for region in _as_one(tiles):
            ranges = ends.setdefault(region, [])
            if ranges and ranges[-1][1] == first:
                ranges[-1][1] = last
            else:
                ranges.append([first, last])
    return [
        {"frames": frames, "roi_px": list(region)}
        for region, ranges in ends.items()
        for frames in ranges
    ]


def _as_one(tiles: list[_Region]) -> list[_Region]:
    """The rectangle that tiles make up, or the tiles; they do not overlap."""
    left, top = (min(tile[axis] for tile in tiles) for axis in (0, 1))
    right, bottom = (max(tile[axis] + tile[axis + 2] for tile in tiles) for axis in (0, 1))
    whole = left, top, right - left, bottom - top
    covered = sum(width * height for _, _, width, height in tiles)
    return [whole] if covered == whole[2] * whole[3] else tiles
