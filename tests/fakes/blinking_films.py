"""Films of molecules that begin and end their blinks at any time, and persist between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.profiles import tabulated_profile
from smlm_training.simulation.simulate import Emitters, expected_photons

_BORDER_PX = 8.0


def blinks(
    rng: np.random.Generator, *, on_frames: float, count: int, frames: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Frame, molecule and share of the frame of every molecule in each frame it shines in."""
    first = rng.uniform(-10 * on_frames, frames, count)
    last = first + rng.exponential(on_frames, count)
    frame = np.arange(frames)[:, None]
    shares = np.clip(np.minimum(last, frame + 1) - np.maximum(first, frame), 0, 1)
    frames_lit, molecules = np.nonzero(shares)
    return frames_lit, molecules, shares[frames_lit, molecules]


def blinking_film(
    fluorophore: Fluorophore,
    *,
    on_frames: float,
    per_px2: float,
    background_photons: float,
    frames: int,
    size_px: int = 64,
    seed: int = 1,
) -> NDArray[np.uint16]:
    """Frames of an EMCCD of 2 ADU a photon and offset 100, with about ``per_px2`` molecules each.

    ``fluorophore`` gives the light of a whole frame; each molecule blinks once.
    """
    rng = np.random.default_rng(seed)
    area_px2 = (size_px + 2 * _BORDER_PX) ** 2
    count = int(per_px2 * area_px2 * (frames + 10 * on_frames) / (on_frames + 1))
    lit, molecule, share = blinks(rng, on_frames=on_frames, count=count, frames=frames)
    places_px = rng.uniform(-_BORDER_PX, size_px + _BORDER_PX, (2, count))
    photons = fluorophore.draw_photons(rng, count)
    place = np.arange(len(lit)) - np.searchsorted(lit, lit)  # the n-th of its frame
    y_px, x_px, shining = np.zeros((3, frames, place.max() + 1))
    y_px[lit, place], x_px[lit, place] = places_px[:, molecule]
    shining[lit, place] = photons[molecule] * share
    emitters = Emitters(y_px, x_px, shining, np.full_like(y_px, fluorophore.sigma_px))
    light = expected_photons(
        emitters, size_px, size_px, shape=fluorophore.shape, profile=tabulated_profile
    )
    return Emccd(2.0, 100.0, 0.0).expose(rng, light + background_photons)
