"""The whole path: open -> survey -> plan -> submit -> accumulate -> image. Read this first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import smlm_pipeline
from smlm_pipeline import chunking, contract, kernels, memory, scheduling
from smlm_pipeline.accumulate import Accumulator, FineImage
from smlm_pipeline.chunking import Chunk
from smlm_pipeline.errors import SettingError
from smlm_pipeline.io.canvas import Canvas, FileCanvas
from smlm_pipeline.io.selection import Corner
from smlm_pipeline.ledger import Identity, Ledger, NoLedger
from smlm_pipeline.losses import Losses
from smlm_pipeline.read_ahead import ReadAhead
from smlm_pipeline.settings import IN_FLIGHT_FIRST, IN_FLIGHT_MOST, Settings, frames_per_chunk
from smlm_pipeline.stack import Stack
from smlm_pipeline.survey import Survey, survey
from smlm_pipeline.transport import Request, Transport
from smlm_pipeline.window import Window

WHOLE_FILM = Corner()

BYTES_MAX = 1 << 31
"""A message of gRPC is smaller than this; so is what a request's maps may take."""


@dataclass(frozen=True)
class Reconstruction:
    """The image and what it was made from.

    ``pixels`` is the expected number of emitters per fine pixel, readable while its
    canvas is open; ``levels_adu`` (2,) the film's background and scale. ``frames_done`` were
    summed by this run and not by an earlier one; ``missing`` are the chunks that the image
    lacks, where that was allowed, and ``reason`` why the first of them failed; ``failures``
    counts the requests that failed in a way that may pass.
    """

    pixels: FineImage
    levels_adu: NDArray[np.float32]
    frame_count: int
    chunk_count: int
    elapsed_s: float
    frames_done: float
    missing: tuple[Chunk, ...] = ()
    reason: str = ""
    failures: int = 0

    @property
    def image(self) -> NDArray[np.float32]:
        """All pixels at once: shape (zoom Y, zoom X), float32."""
        return self.pixels.whole()

    @property
    def frames_per_s(self) -> float:
        """Frames a second, from the first read to the finished sum."""
        return self.frames_done / self.elapsed_s


def reconstruct(
    stack: Stack,
    transport: Transport,
    settings: Settings,
    *,
    canvas: Canvas | None = None,
    servers: int = 1,
    ledger: Ledger | None = None,
    progress: Callable[[float], None] = lambda _frames: None,
) -> Reconstruction:
    """One super-resolution image from a film of blinking molecules.

    Parameters
    ----------
    stack : Stack
        The opened film.
    transport, servers : Transport and int
        The engine: this process, or Triton on so many servers.
    settings : Settings
        How to cut, send and draw.
    canvas : Canvas, optional
        Where the sum is kept, made by `open_canvas`; by default in memory.
    ledger : Ledger, optional
        Where the sum is written now and then, and what to go on from.
    progress : callable
        Called first and after each chunk with the number of whole frames that were done.

    Raises
    ------
    ReconError
        If the film cannot be read, or a chunk fails for good and must not be left out.
    """
    started = time.perf_counter()
    seen = survey(stack, settings)
    chunks = plan_chunks(stack, settings)
    accumulator = Accumulator(stack.height_px, stack.width_px, zoom=settings.zoom, canvas=canvas)
    ledger = ledger or NoLedger()
    ledger.begin(accumulator, _identity(stack, settings, seen, len(chunks)))
    left = accumulator.left(chunks)
    progress(stack.frame_count - _frames(left, stack))
    losses = Losses(allowed=settings.allow_partial)
    window = _window(stack, settings, servers)
    with ReadAhead(stack, left) as ahead, losses.end_of_server():
        sums = scheduling.run(
            left,
            lambda c: request_of(ahead.frames(c), c, seen, settings.zoom, stack.corner),
            transport,
            window=window,
            attempts=settings.attempts,
            failed=losses.leave_out,
        )
        with contextlib.closing(sums):
            for chunk, partial in sums:
                accumulator.add(chunk, partial.image, partial.frame_count)
                progress(_frames([chunk], stack))
                ledger.keep()
    missing = accumulator.left(chunks)
    losses.refuse_nothing(missing, chunks)
    return Reconstruction(
        pixels=accumulator.image(),
        levels_adu=seen.levels_adu,
        frame_count=stack.frame_count,
        chunk_count=len(chunks),
        elapsed_s=time.perf_counter() - started,
        frames_done=_frames(left, stack) - _frames(missing, stack),
        missing=tuple(missing),
        reason=str(losses.reason or ""),
        failures=window.failures,
    )


def open_canvas(stack: Stack, settings: Settings, folder: Path) -> Canvas:
    """Where the sum of this film's image is kept: in memory if it fits, else in ``folder``.

    Raises
    ------
    SettingError
        If the film needs more memory than the settings allow.
    OutputError
        If the folder has no room.
    """
    size = stack.height_px, stack.width_px
    shape = kernels.image_shape(settings.zoom, *size)
    fits = memory.room(stack.frame_count, *size, settings).sum_in_memory
    return Canvas(shape) if fits else FileCanvas(shape, folder)


def _frames(chunks: Iterable[Chunk], stack: Stack) -> float:
    """How many whole frames these amount to: a tile is a part of its frames."""
    pixels: int = sum(c.frame_count * c.tile.y.core_size * c.tile.x.core_size for c in chunks)
    frame_pixels: int = stack.height_px * stack.width_px
    return pixels / frame_pixels


def _identity(stack: Stack, settings: Settings, seen: Survey, requests: int) -> Identity:
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


def _window(stack: Stack, settings: Settings, servers: int) -> Window:
    """The user's number of requests under way, or one that adapts within the memory."""
    if settings.in_flight is not None:
        return Window(settings.in_flight, settings.in_flight)
    room = memory.room(stack.frame_count, stack.height_px, stack.width_px, settings)
    most = min(IN_FLIGHT_MOST * servers, room.in_flight_most)
    return Window(IN_FLIGHT_FIRST * servers, most, servers)


def plan_chunks(stack: Stack, settings: Settings) -> list[Chunk]:
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
    if settings.answers_map and 4 * values >= BYTES_MAX:
        raise SettingError(
            f"{settings.model} makes maps of {4 * values / 2**30:.1f} GiB of one request; expected "
            "less than 2 GiB: choose a smaller --chunk-frames or --tile-px"
        )
    height, width = kernels.image_shape(settings.zoom, y.core_size, x.core_size)
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
        frames_adu=kernels.cut(frames_adu, **region),
        levels_adu=np.broadcast_to(seen.levels_adu, (chunk.frame_count, 2)),
        mean_adu=kernels.cut(seen.mean_adu[None], **region)[0],
        window=np.array(chunk.tile.window(zoom), np.int32),
    )
