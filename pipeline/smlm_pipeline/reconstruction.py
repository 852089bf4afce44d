"""The whole path: open -> survey -> plan -> submit -> accumulate -> image. Read this first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.run import dispatch
from smlm_pipeline.run.accumulate import Accumulator, FineImage
from smlm_pipeline.run.canvas import Canvas
from smlm_pipeline.run.checkpoint import Checkpoint, NoCheckpoint
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.missing import Missing
from smlm_pipeline.run.plan import (
    _frames,
    _identity,
    _window,
    plan_chunks,
    request_of,
)
from smlm_pipeline.run.read_ahead import ReadAhead
from smlm_pipeline.settings import Settings


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
    stack: Film,
    transport: Transport,
    settings: Settings,
    *,
    canvas: Canvas | None = None,
    servers: int = 1,
    ledger: Checkpoint | None = None,
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
    ledger = ledger or NoCheckpoint()
    ledger.begin(accumulator, _identity(stack, settings, seen, len(chunks)))
    left = accumulator.left(chunks)
    progress(stack.frame_count - _frames(left, stack))
    losses = Missing(allowed=settings.allow_partial)
    window = _window(stack, settings, servers)
    with ReadAhead(stack, left) as ahead, losses.end_of_server():
        sums = dispatch.run(
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
