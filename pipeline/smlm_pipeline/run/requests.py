"""The request of a chunk, cut out of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import cut
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.film.frame_numbers import in_words
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.wide_field import core_of, light_of

WHOLE_FILM = Corner()
"""The corner of a film that begins where its file does."""


def request_of(
    frames_adu: NDArray[np.uint16],
    chunk: Chunk,
    levels_adu: NDArray[np.float32],
    zoom: int,
    corner: Corner = WHOLE_FILM,
    *,
    class_borders_px: Sequence[float] = (),
    molecules: bool = False,
    light: bool = False,
) -> Request:
    """Cut a chunk's tile out of its frames and put its tensors together.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, Y, X), uint16
        The chunk's whole frames, in ADU.
    chunk : Chunk
        The chunk.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame, in ADU.
    zoom : int
        SR pixels along the edge of a camera pixel.
    corner : Corner
        Where the film begins in its file: the label counts frames and pixels as the file does.
    class_borders_px : sequence of float
        Borders between the precision classes to ask for; by default there is one class.
    molecules : bool
        Whether to ask for the molecules too.
    light : bool
        Whether to sum the light of the chunk's core.

    Returns
    -------
    Request
        The tile's tensors, of the chunk's read region.
    """
    y, x = chunk.tile.y, chunk.tile.x
    region = {
        "top": y.read_start,
        "left": x.read_start,
        "height": y.read_size,
        "width": x.read_size,
    }
    frames = in_words(corner.numbers(chunk.first_frame, chunk.last_frame))
    top_px, left_px = corner.y_px + y.core_start, corner.x_px + x.core_start
    borders = np.zeros(contract.CLASS_BORDERS.dims, np.float32)
    borders[: len(class_borders_px)] = class_borders_px
    return Request(
        label=f"{frames}, tile at y {top_px}, x {left_px}",
        frames_adu=cut(frames_adu, **region),
        levels_adu=levels_adu,
        window=replace(
            chunk.tile.window(zoom), classes=len(class_borders_px) + 1, molecules=molecules
        ),
        class_borders_px=borders,
        light=light_of(frames_adu[(slice(None), *core_of(chunk))], levels_adu) if light else None,
    )
