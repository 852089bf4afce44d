"""The plan of a run: chunks, memory and concurrency, from the film's size. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import SettingError
from smlm_pipeline.run import chunking
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.concurrency import ConcurrencyLimit
from smlm_pipeline.run.memory_budget import memory_budget
from smlm_pipeline.settings import IN_FLIGHT_FIRST, IN_FLIGHT_MOST, Settings, frames_per_chunk

HALF_PARTS = 8
"""Parts of a film that go by turns to its two halves.

They are long, so that few molecules shine in both halves; they alternate, so that bleaching and
drift change both halves alike; and they depend on the film's length alone, so that its refinement
and its resolution do not depend on how it is cut into requests."""


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
    ``in_flight_most`` is the number that fits into ``memory_bytes``. ``classes`` is the number of
    precision classes that are summed apart; ``half_frames`` are the frames of a part of the film
    that goes to one half of it, and None where the film has no halves. ``first_request`` is the
    index of the first chunk, which is not 0 where the plan is that of a part of the film.
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
    classes: int = 1
    half_frames: int | None = None
    first_request: int = 0

    @property
    def refines(self) -> bool:
        """Whether the image is to be refined: its precision classes are summed apart for that."""
        return self.classes > 1

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Height and width of the sum with its margin, in SR pixels: all planes of it."""
        height, width = image_shape(self.zoom, self.height_px, self.width_px)
        planes = self.classes * (1 if self.half_frames is None else 2)
        return planes * height, width

    def of_part(self, frames: range | None) -> RunPlan:
        """The plan of a part of the film: the chunks that begin in these frames; None is all.

        Chunks, levels and halves stay those of the whole film, and parts that adjoin share no
        chunk and leave none out, wherever they meet.
        """
        if frames is None:
            return self
        chunks = tuple(chunk for chunk in self.chunks if chunk.first_frame in frames)
        before = sum(chunk.first_frame < frames.start for chunk in self.chunks)
        return replace(self, chunks=chunks, first_request=before)

    def half_of(self, chunk: Chunk) -> int:
        """The half of the film that a chunk belongs to: 0 or 1, by turns."""
        return 0 if self.half_frames is None else chunk.first_frame // self.half_frames % 2

    def half_of_frames(self, frame: NDArray[np.int64]) -> NDArray[np.int64]:
        """The half of the film of each frame (K,), counted from the film's first: 0 or 1."""
        return frame // (self.half_frames or self.frame_count) % 2

    def concurrency(self, count_servers: Callable[[], int] = lambda: 1) -> ConcurrencyLimit:
        """A new limit for servers that may change: fixed by the user, or adapting within memory."""
        if self.in_flight is not None:
            return ConcurrencyLimit(self.in_flight, self.in_flight)
        servers = count_servers()
        most = min(IN_FLIGHT_MOST * servers, self.in_flight_most)
        first = IN_FLIGHT_FIRST * servers
        return ConcurrencyLimit(
            first, most, servers, ceiling=self.in_flight_most, count_servers=count_servers
        )

    def frames_done(self, left: Iterable[Chunk]) -> float:
        """Whole frames that are done when these chunks are left."""
        return self.whole_frames(self.chunks) - self.whole_frames(left)

    def whole_frames(self, chunks: Iterable[Chunk]) -> float:
        """Size of some chunks in whole frames: a tile is a part of its frames."""
        pixels: int = sum(c.frame_count * c.tile.y.core_size * c.tile.x.core_size for c in chunks)
        frame_pixels: int = self.height_px * self.width_px
        return pixels / frame_pixels


def plan_run(
    film: FilmSize, settings: Settings, memory_bytes: int, *, request_pixels: int | None = None
) -> RunPlan:
    """Plan a run: no file, no server and no clock is read.

    Parameters
    ----------
    film : FilmSize
        The film, of which only the size matters.
    settings : Settings
        How to cut, send and draw; its ``memory_bytes`` does not count here.
    memory_bytes : int
        The most memory of the client (`memory_budget.memory_limit_bytes`).
    request_pixels : int, optional
        Camera pixels of a request, as the server asks for.

    Returns
    -------
    RunPlan
        The same for the same arguments.

    Raises
    ------
    SettingError
        If the film needs more memory than the limit, or a chunk is out of the contract's range.
    """
    size = film.frame_count, film.height_px, film.width_px
    refines = settings.refines(film.height_px, film.width_px)
    has_halves = refines or settings.resolution
    classes = contract.MAX_CLASSES if refines else 1
    tile_px = _tile_px(settings, classes)
    settings = replace(settings, tile_px=tile_px)
    chunk_frames = frames_per_chunk(
        settings, film.height_px, film.width_px, request_pixels=request_pixels
    )
    half_frames = -(-film.frame_count // HALF_PARTS) if has_halves else None
    if half_frames is not None:
        chunk_frames = -(-half_frames // -(-half_frames // chunk_frames))
    elif settings.error_map:  # it has molecules over time
        chunk_frames = min(chunk_frames, max(film.frame_count // HALF_PARTS, 1))
    budget = memory_budget(
        *size,
        chunk_frames=chunk_frames,
        tile_px=tile_px,
        zoom=settings.zoom,
        limit_bytes=memory_bytes,
        decoded_bytes=film.decoded_bytes,
        planes=2 * classes if has_halves else 1,
        refined=refines,
        drift=settings.corrects_drift,
        compared=settings.error_map,
    )
    chunks = chunking.plan(
        *size, chunk_frames=chunk_frames, tile_px=tile_px, part_frames=half_frames
    )
    _check_size(chunks[0], settings)
    return RunPlan(
        *size,
        chunks=tuple(chunks),
        chunk_frames=chunk_frames,
        tile_px=tile_px,
        zoom=settings.zoom,
        memory_bytes=memory_bytes,
        canvas_in_memory=budget.sum_in_memory,
        picture_edge_px=budget.picture_edge_px,
        in_flight=settings.in_flight,
        in_flight_most=budget.in_flight_most,
        classes=classes,
        half_frames=half_frames,
    )


def fitted_plan(
    plan: RunPlan, film: FilmSize, settings: Settings, request_pixels: int | None
) -> RunPlan:
    """Plan the run again for the requests that a server asks for, if the memory allows them.

    Parameters
    ----------
    plan : RunPlan
        The plan with the usual requests.
    film, settings : FilmSize and Settings
        What it was made of.
    request_pixels : int or None
        Camera pixels of a request, as the server asks for; with None the plan stays.
    """
    if request_pixels is None:
        return plan
    try:
        fitted = plan_run(film, settings, plan.memory_bytes, request_pixels=request_pixels)
    except SettingError:
        return plan
    # The sum is kept where the first plan put it, which is open already.
    return fitted if fitted.canvas_in_memory == plan.canvas_in_memory else plan


def _check_size(chunk: Chunk, settings: Settings) -> None:
    """Refuse a chunk that the server would refuse, before it is sent."""
    y, x = chunk.tile.y, chunk.tile.x
    answer = contract.MAP_ANSWER if settings.makes_maps else contract.DETECTION_ANSWER
    frames_most = answer.frames_most(y.read_size, x.read_size)
    if chunk.frame_count > frames_most:
        raise SettingError(
            f"a request has {chunk.frame_count} frames of {y.read_size} x {x.read_size} pixels; "
            f"expected at most {frames_most}: choose a smaller --chunk-frames or --tile-px"
        )


def _tile_px(settings: Settings, classes: int) -> int:
    """The largest edge of a tile, up to the settings', whose image a request may have."""
    smaller = (edge for edge in reversed(contract.TILE_SIZES_PX) if edge < settings.tile_px)
    edges_px = (settings.tile_px, *smaller)
    fitting = (
        edge
        for edge in edges_px
        if Window(settings.zoom, 0, 0, edge, edge, classes).size <= contract.MAX_IMAGE_PIXELS
    )
    return next(fitting)
