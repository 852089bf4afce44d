"""What is learnt from a film before its first chunk is sent: its levels and its mean."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import TEMPORAL_FRAMES_MIN, film_levels, spread_evenly
from smlm_pipeline.errors import FilmError, is_of_chunk
from smlm_pipeline.film.film import Film
from smlm_pipeline.settings import LEVEL_PIXELS, Settings

HASHED_ROWS = 8
"""Of so many rows of a sampled frame one is hashed for the order of frames; the mean tells all."""


@dataclass(frozen=True)
class Survey:
    """What every chunk of a film is sent with.

    ``levels_adu`` (2,) float32 is the film's background and scale, ``mean_adu``
    (Y, X) float32 the mean of its frames. ``film_sha256`` stands for the film: for its size
    and the sampled frames.
    """

    levels_adu: NDArray[np.float32]
    mean_adu: NDArray[np.float32]
    film_sha256: str


def survey(stack: Film, settings: Settings) -> Survey:
    """Read a sample of whole frames, evenly spread over the film, once.

    The mean takes one frame at a time. Levels need their frames together, so
    they come from fewer, and from fewer still of large ones.

    Raises
    ------
    FilmError
        If the film cannot be read; where the settings allow a partial image, if none of the
        sampled frames can, or the disk or share does not answer.
    """
    chosen = spread_evenly(stack.frame_count, settings.mean_frames)
    pixels = stack.height_px * stack.width_px
    most = min(settings.level_frames, max(LEVEL_PIXELS // pixels, TEMPORAL_FRAMES_MIN))
    leveled = set(spread_evenly(len(chosen), most))
    sample = np.empty((len(leveled), stack.height_px, stack.width_px), np.uint16)
    total = np.zeros((stack.height_px, stack.width_px), np.int64)
    digest = hashlib.sha256(f"{stack.frame_count},{stack.height_px},{stack.width_px}".encode())
    seen = taken = 0
    unread: FilmError | None = None
    for place, index in enumerate(chosen):
        try:
            frame_adu = stack.read(index, index + 1)[0]
        except FilmError as error:
            if not (settings.allow_partial and is_of_chunk(error)):
                raise
            unread = error
            continue
        total += frame_adu
        digest.update(frame_adu[place % HASHED_ROWS :: HASHED_ROWS].tobytes())
        seen += 1
        if place in leveled:
            sample[taken] = frame_adu
            taken += 1
    if unread is not None and not taken:
        raise unread
    mean_adu = (total / seen).astype(np.float32)
    digest.update(mean_adu.tobytes())
    return Survey(film_levels(sample[:taken]), mean_adu, digest.hexdigest())
