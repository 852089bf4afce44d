"""Films that a server is measured and loaded with, and the requests of their chunks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.settings import Settings
from smlm_training.simulation.presets import preset_film

SIMULATED_FRAMES = 32
"""Frames that are simulated; longer films repeat them."""

FILMS = 8
"""Different films whose requests are mixed."""


def film_of(size_px: int, frames: int) -> NDArray[np.uint16]:
    """A film of square frames: ndarray, shape (frames, size_px, size_px), uint16, in ADU."""
    made = preset_film(
        "microtubules", seed=5, frames=SIMULATED_FRAMES, height_px=size_px, width_px=size_px
    ).frames_adu
    repeated: NDArray[np.uint16] = np.resize(made, (frames, size_px, size_px))
    return repeated


def requests_of(film_adu: NDArray[np.uint16], frames: int) -> list[Request]:
    """The requests of a film (T, H, W) that is one tile, with so many frames each."""
    count, height, width = film_adu.shape
    levels_adu = np.resize(prepared(film_adu[:SIMULATED_FRAMES])[1], (count, 2))
    window = Window(Settings.zoom, 0, 0, height, width)
    return [
        Request(f"frames from {first}", film_adu[part], levels_adu[part], window)
        for first in range(0, count, frames)
        for part in [slice(first, first + frames)]
    ]


def different_films(frames: int, size_px: int) -> list[Request]:
    """A request of each of several films: one film, shifted each time by another way."""
    film_adu = film_of(size_px, frames)
    step_px = size_px // FILMS
    shifted = (np.roll(film_adu, index * step_px, axis=(1, 2)) for index in range(FILMS))
    return [requests_of(each, frames)[0] for each in shifted]
