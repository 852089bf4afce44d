"""Plan a run: chunks, sizes, memory and concurrency. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import cut, image_shape
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.run import chunking, memory_budget
from smlm_pipeline.run.canvas import Canvas, FileCanvas
from smlm_pipeline.run.checkpoint import Identity
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.concurrency import ConcurrencyLimit
from smlm_pipeline.settings import IN_FLIGHT_FIRST, IN_FLIGHT_MOST, Settings, frames_per_chunk

WHOLE_FILM = Corner()


BYTES_MAX = 1 << 31
"""A message of gRPC is smaller than this; so is what a request's maps may take."""


def open_canvas(stack: Film, settings: Settings, folder: Path) -> Canvas:
    """Where the sum of this film's image is kept: in memory if it fits, else in ``folder``.

    Raises
    ------
    SettingError
        If the film needs more memory than the settings allow.
    OutputError
        If the folder has no room.
    """
    size = stack.height_px, stack.width_px
    shape = image_shape(settings.zoom, *size)
    fits = memory_budget.memory_budget(stack.frame_count, *size, settings).sum_in_memory
    return Canvas(shape) if fits else FileCanvas(shape, folder)


def _frames(chunks: Iterable[Chunk], stack: Film) -> float:
    """How many whole frames these amount to: a tile is a part of its frames."""
    pixels: int = sum(c.frame_count * c.tile.y.core_size * c.tile.x.core_size for c in chunks)
    frame_pixels: int = stack.height_px * stack.width_px
    return pixels / frame_pixels


def _identity(stack: Film, settings: Settings, seen: Survey, requests: int) -> Identity:
    """What the sum of this run is of."""
    return Identity(
        film_sha256=seen.film_sha256,
        model=settings.model,
        contract_version=contract.CONTRACT_VERSION,
        software=f"smlm-recon {smlm_pipeline.__version__}",
        zoom=settings.zoom,
        chunk_frames=frames_per_chunk(settings, stack.height_px, stack.width_px),
        tile_px=settings.tile_px,
        requests=requests,
    )


def _window(stack: Film, settings: Settings, servers: int) -> ConcurrencyLimit:
    """The user's number of requests under way, or one that adapts within the memory."""
    if settings.in_flight is not None:
        return ConcurrencyLimit(settings.in_flight, settings.in_flight)
    room = memory_budget.memory_budget(stack.frame_count, stack.height_px, stack.width_px, settings)
    most = min(IN_FLIGHT_MOST * servers, room.in_flight_most)
    return ConcurrencyLimit(IN_FLIGHT_FIRST * servers, most, servers)


def plan_chunks(stack: Film, settings: Settings) -> list[Chunk]:
    """The requests that the film is cut into.

    Raises
    ------
    SettingError
        If the sum of one chunk could not travel in one message, or its maps take too much.
    """
    chunks = chunking.plan(
        stack.frame_count,
        stack.height_px,
        stack.width_px,
        chunk_frames=frames_per_chunk(settings, stack.height_px, stack.width_px),
        tile_px=settings.tile_px,
    )
    _check_size(chunks[0], settings)
    return chunks


def _check_size(chunk: Chunk, settings: Settings) -> None:
    """Refuse what no message or no memory would hold."""
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


def request_of(
    frames_adu: NDArray[np.uint16],
    chunk: Chunk,
    seen: Survey,
    zoom: int,
    corner: Corner = WHOLE_FILM,
) -> Request:
    """Cut a chunk's tile out of its frames and put its tensors together.

    The label counts as the film's file does, of which the film begins at ``corner``.
    """
    y, x = chunk.tile.y, chunk.tile.x
    region = {
        "top": y.read_start,
        "left": x.read_start,
        "height": y.read_size,
        "width": x.read_size,
    }
    first, last = corner.frame + chunk.first_frame, corner.frame + chunk.last_frame - 1
    top_px, left_px = corner.y_px + y.core_start, corner.x_px + x.core_start
    return Request(
        label=f"frames {first} to {last}, tile at y {top_px}, x {left_px}",
        frames_adu=cut(frames_adu, **region),
        levels_adu=np.broadcast_to(seen.levels_adu, (chunk.frame_count, 2)),
        mean_adu=cut(seen.mean_adu[None], **region)[0],
        window=np.array(chunk.tile.window(zoom), np.int32),
    )
