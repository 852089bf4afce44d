"""Survey a film before its first chunk is sent: levels, mean and a hash."""

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
"""One row in so many of a sampled frame is hashed for the order of frames; the mean covers all."""


@dataclass(frozen=True)
class Survey:
    """The numbers that accompany every chunk of a film.

    ``levels_adu`` (2,) float32 is the film's background and scale, ``mean_adu``
    (Y, X) float32 the mean of its frames. ``film_sha256`` identifies the film: it covers its
    size and the sampled frames.
    """

    levels_adu: NDArray[np.float32]
    mean_adu: NDArray[np.float32]
    film_sha256: str


@dataclass(frozen=True)
class SampledFrames:
    """Indices of the frames that are averaged, and of those among them that give the levels."""

    mean: list[int]
    levels: list[int]


def sampled_frames(
    frame_count: int, height_px: int, width_px: int, settings: Settings
) -> SampledFrames:
    """Choose frames evenly spread over a film.

    The mean takes one frame at a time. Levels need their frames together, so they come from
    fewer frames, and from fewer still where frames are large: at most ``LEVEL_PIXELS`` pixels,
    but never from fewer than ``TEMPORAL_FRAMES_MIN`` frames.
    """
    averaged = spread_evenly(frame_count, settings.mean_frames)
    held = max(LEVEL_PIXELS // (height_px * width_px), TEMPORAL_FRAMES_MIN)
    places = spread_evenly(len(averaged), min(settings.level_frames, held))
    return SampledFrames(averaged, [averaged[place] for place in places])


def survey(film: Film, settings: Settings) -> Survey:
    """Read the `sampled_frames` of a film once.

    Raises
    ------
    FilmError
        If the film cannot be read; where the settings allow a partial image, if none of the
        sampled frames can, or the disk or share does not answer.
    """
    chosen = sampled_frames(film.frame_count, film.height_px, film.width_px, settings)
    leveled = set(chosen.levels)
    sample = np.empty((len(leveled), film.height_px, film.width_px), np.uint16)
    total = np.zeros((film.height_px, film.width_px), np.int64)
    digest = hashlib.sha256(f"{film.frame_count},{film.height_px},{film.width_px}".encode())
    averaged = kept = 0
    unread: FilmError | None = None
    for place, index in enumerate(chosen.mean):
        try:
            frame_adu = film.read(index, index + 1)[0]
        except FilmError as error:
            if not (settings.allow_partial and is_of_chunk(error)):
                raise
            unread = error
            continue
        total += frame_adu
        digest.update(frame_adu[place % HASHED_ROWS :: HASHED_ROWS].tobytes())
        averaged += 1
        if index in leveled:
            sample[kept] = frame_adu
            kept += 1
    if unread is not None and not kept:
        raise unread
    mean_adu = (total / averaged).astype(np.float32)
    digest.update(mean_adu.tobytes())
    return Survey(film_levels(sample[:kept]), mean_adu, digest.hexdigest())


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
    return film_levels(frames_adu[_sampled_of(frames_adu).levels])


def mean_of(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Mean frame of a film in memory: the one that `survey` gives by default.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The whole film, in ADU.

    Returns
    -------
    ndarray, shape (Y, X), float32
        In ADU.
    """
    sample = frames_adu[_sampled_of(frames_adu).mean]
    mean_adu: NDArray[np.float32] = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean_adu


def _sampled_of(frames_adu: NDArray[np.uint16]) -> SampledFrames:
    count, height_px, width_px = frames_adu.shape
    return sampled_frames(count, height_px, width_px, Settings())
