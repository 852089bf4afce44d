"""Judge by their pictures whether two films are of different samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import reading
from smlm_pipeline.film.formats.source import Source

FRAMES_MAX, FRAMES_MIN = 20, 4
"""Frames whose mean is a picture."""

_BYTES_MAX = 1 << 26
"""Most bytes of the frames of one picture."""

BLOCK_PX = 16
"""Means of blocks of this edge are taken off: the light of a lamp is alike on all samples."""

CERTAIN, DIFFERENT = 0.3, 0.5
"""Least correlation of two pictures of one film for a judgement, and the share of it below which
pictures of two films are of different samples."""


def are_different(before: Source, after: Source) -> bool:
    """Whether the end of one film and the start of another show different samples.

    Each film's own pictures have to agree, else there is no judgement: then it is False.
    Measured on simulated filaments of 15 to 200 frames: of one film, the correlation across the
    seam is 0.85 to 1.05 times that inside; of two films, below 0.4 times.

    Raises
    ------
    FilmError
        If a frame cannot be read; it names the film's own file.
    """
    frame_bytes = before.shape[-2] * before.shape[-1] * before.dtype.itemsize
    fitting = _BYTES_MAX // max(before.decoded_bytes, frame_bytes)
    lengths = [source.shape[0] if len(source.shape) > 2 else 1 for source in (before, after)]
    count = min(FRAMES_MAX, fitting, *(length // 2 for length in lengths))
    if count < FRAMES_MIN or min(before.shape[-2:]) < BLOCK_PX or before.gaps or after.gaps:
        return False
    end = lengths[0]
    pictures = [
        _picture(before, range(end - 2 * count, end - count)),
        _picture(before, range(end - count, end)),
        _picture(after, range(count)),
        _picture(after, range(count, 2 * count)),
    ]
    inside = min(_correlation(*pictures[:2]), _correlation(*pictures[2:]))
    return inside > CERTAIN and _correlation(*pictures[1:3]) < DIFFERENT * inside


def _picture(source: Source, planes: range) -> NDArray[np.float64]:
    """Mean of planes without that of each block, (Y, X), in the file's values."""
    height, width = (edge // BLOCK_PX for edge in source.shape[-2:])
    y, x = slice(0, height * BLOCK_PX), slice(0, width * BLOCK_PX)
    total = np.zeros((y.stop, x.stop))
    with reading(source.path):
        for plane in planes:
            total += source.read(range(plane, plane + 1), y, x)[0]
    blocks = total.reshape(height, BLOCK_PX, width, BLOCK_PX)
    flat: NDArray[np.float64] = blocks - blocks.mean(axis=(1, 3), keepdims=True)
    return flat.reshape(total.shape)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Of two pictures without a mean; 0 where one is empty."""
    power = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / power if power else 0.0
