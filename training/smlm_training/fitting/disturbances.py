"""Disturb training films as users' films are: light that changes in time, pixels without picture.

The client subtracts the one and replaces the other (`smlm_pipeline.compute.conditioning`); the
network learns what is left of them, noise above all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.pixel_faults import PixelFaults
from smlm_training.fitting.ranges import Ranges


def changing_light(rng: np.random.Generator, ranges: Ranges) -> NDArray[np.float64]:
    """Light of the whole field beside the background, (N, 1, 1) photons a pixel; often none.

    It decays, flickers from frame to frame, comes in pulses, or is another colour's in every
    second frame.
    """
    frames = np.arange(ranges.frames_per_film)
    if rng.random() >= ranges.changing_share:
        return np.zeros((len(frames), 1, 1))
    most_photons = float(np.exp(rng.uniform(*np.log(ranges.changing_photons))))
    kind = rng.integers(4)
    if kind == 0:
        course = np.exp(-frames / rng.uniform(0.1, 2.0) / len(frames))
    elif kind == 1:
        course = rng.random(len(frames))
    elif kind == 2:
        course = (rng.random(len(frames)) < rng.uniform(0.05, 0.3)).astype(float)
    else:
        course = (frames % 2).astype(float)
    light: NDArray[np.float64] = most_photons * course[:, None, None]
    return light


def faulty_pixels(rng: np.random.Generator, ranges: Ranges) -> PixelFaults:
    """Pixels of a patch that show no picture: often none; single ones, lines, or an outside."""
    size_px = ranges.patch_px
    narrow, wide = (np.zeros((size_px, size_px), bool) for _ in range(2))
    if rng.random() < ranges.faulty_share:
        narrow = rng.random(narrow.shape) < 10 ** rng.uniform(-3.5, -1.7)
        if rng.random() < 0.3:
            narrow[rng.integers(size_px)] = True
        if rng.random() < 0.3:
            narrow[:, rng.integers(size_px)] = True
    if rng.random() < ranges.outside_share:
        wide = _outside(rng, size_px)
    return PixelFaults(narrow, wide, np.zeros_like(wide), None)


def _outside(rng: np.random.Generator, size_px: int) -> NDArray[np.bool_]:
    """What a straight border or a round field stop leaves dark, less than two thirds of a patch."""
    y, x = np.mgrid[:size_px, :size_px]
    angle = (
        rng.choice([0, 0.5, 1, 1.5]) * np.pi if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
    )
    along_px = (y - size_px / 2) * np.sin(angle) + (x - size_px / 2) * np.cos(angle)
    if rng.random() < 0.5:
        beyond: NDArray[np.bool_] = along_px > rng.uniform(0, size_px / 2)
        return beyond
    radius_px = rng.uniform(0.5, 3) * size_px
    centre_px = radius_px - rng.uniform(0, size_px / 2)
    across_px = (x - size_px / 2) * np.sin(angle) - (y - size_px / 2) * np.cos(angle)
    outside: NDArray[np.bool_] = np.hypot(along_px + centre_px, across_px) > radius_px
    return outside
