"""Simulated films that are measured: sparse, dense, and as in the demonstration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.settings import REQUEST_PIXELS
from smlm_training.simulation.presets import preset_film

USUAL = "microtubules"
"""Preset of the film that engines are timed on."""

FILMS = {
    "sparse": "filaments-1",
    "dense": "filaments-9",
    "dense everywhere": "uniform-9",
}
"""Presets by the crowding of their molecules: 1 and 9 for each square micrometre and frame; in the
last one without structure, so that they fill the image."""

FRAMES_MIN = 16
"""Fewest frames of a film: levels need them."""


def simulated(preset: str, frames: int, size_px: int) -> NDArray[np.uint16]:
    """Simulate a film (T, Y, X) of a preset, in ADU: ``FRAMES_MIN`` frames or more."""
    count = max(frames, FRAMES_MIN)
    return preset_film(preset, seed=5, frames=count, height_px=size_px, width_px=size_px).frames_adu


def write_film(path: Path, frames: int, size_px: int, preset: str = USUAL) -> Path:
    """Write a film whose frames repeat after those of one request: chunks have no twins inside."""
    made = simulated(preset, min(frames, REQUEST_PIXELS // size_px**2), size_px)
    repeated = np.resize(made, (frames, size_px, size_px))
    tifffile.imwrite(path, repeated, photometric="minisblack")
    return path
