"""Survey a film before its first chunk is sent: levels and a hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import TEMPORAL_FRAMES_MIN, film_levels, spread_evenly
from smlm_pipeline.errors import FilmError, is_of_chunk
from smlm_pipeline.film.film import Film
from smlm_pipeline.settings import LEVEL_PIXELS, Settings


@dataclass(frozen=True)
class Survey:
    """The numbers that accompany every chunk of a film.

    ``levels_adu`` (2,) float32 is the film's background and scale. ``film_sha256`` identifies
    the film: it covers its size and the sampled frames.
    """

    levels_adu: NDArray[np.float32]
    film_sha256: str


def sampled_frames(
    frame_count: int, height_px: int, width_px: int, settings: Settings
) -> list[int]:
    """Choose frames evenly spread over a film: fewer where frames are large.

    Levels need their frames together: at most ``LEVEL_PIXELS`` pixels, but never fewer than
    ``TEMPORAL_FRAMES_MIN`` frames.
    """
    held = max(LEVEL_PIXELS // (height_px * width_px), TEMPORAL_FRAMES_MIN)
    return spread_evenly(frame_count, min(settings.level_frames, held))


def survey(film: Film, settings: Settings) -> Survey:
    """Read the `sampled_frames` of a film once.

    Raises
    ------
    FilmError
        If the film cannot be read; where the settings allow a partial image, if none of the
        sampled frames can, or the disk or share does not answer.
    """
    chosen = sampled_frames(film.frame_count, film.height_px, film.width_px, settings)
    sample = np.empty((len(chosen), film.height_px, film.width_px), np.uint16)
    digest = hashlib.sha256(f"{film.frame_count},{film.height_px},{film.width_px}".encode())
    kept = 0
    unread: FilmError | None = None
    for index in chosen:
        try:
            sample[kept] = film.read(index, index + 1)[0]
        except FilmError as error:
            if not (settings.allow_partial and is_of_chunk(error)):
                raise
            unread = error
            continue
        digest.update(f"{index},".encode() + sample[kept].tobytes())
        kept += 1
    if unread is not None and not kept:
        raise unread
    return Survey(film_levels(sample[:kept]), digest.hexdigest())


def levels_of(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Background and scale of a film in memory: those that `survey` gives by default.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The whole film, in ADU.

    Returns
    -------
    ndarray, shape (2,), float32
        In ADU, see `smlm_pipeline.compute.levels.film_levels`.
    """
    count, height_px, width_px = frames_adu.shape
    return film_levels(frames_adu[sampled_frames(count, height_px, width_px, Settings())])
