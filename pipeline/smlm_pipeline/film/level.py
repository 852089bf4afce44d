"""The usual level of a film, from a few frames, before it is surveyed."""

from __future__ import annotations

import numpy as np

from smlm_pipeline.compute.levels import frame_backgrounds, spread_evenly
from smlm_pipeline.errors import FilmError, is_of_chunk
from smlm_pipeline.film.film import Film

LEVEL_FRAMES = 8
"""Frames that are read."""


def level_of(film: Film) -> float:
    """The usual level of a film without molecules, the camera's offset included.

    Parameters
    ----------
    film : Film
        An open film, of which `LEVEL_FRAMES` frames are read.

    Returns
    -------
    float
        Median of the frames' backgrounds, in ADU; infinite where no frame can be read.

    Raises
    ------
    FilmError
        If the disk or share does not answer.
    """
    levels_adu = []
    for frame in spread_evenly(film.frame_count, LEVEL_FRAMES):
        try:
            values = film.read(frame, frame + 1)
        except FilmError as error:
            if not is_of_chunk(error):
                raise
            continue  # the survey refuses a damaged frame, or leaves it out
        levels_adu.append(frame_backgrounds(values.reshape(1, -1))[0])
    return float(np.median(levels_adu)) if levels_adu else float("inf")
