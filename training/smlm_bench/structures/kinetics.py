"""When molecules shine: each frame apart, or a molecule for several frames in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.shape import Points, Shape

CYCLE_FRAMES = 100
"""Mean time from one blink of a persistent molecule to its next, in frames."""


def independent(
    rng: np.random.Generator, shape: Shape, *, mean_count: float, frames: int
) -> tuple[NDArray[np.int64], Points, NDArray[np.int64]]:
    """Molecules that shine once: a Poisson number in each frame.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape : Shape
        The structure.
    mean_count : float
        Mean number of emitters in a frame, border included.
    frames : int
        Length of the film.

    Returns
    -------
    frame : ndarray, shape (K,), int64
        The frame of each emitter, ascending.
    place_px : ndarray, shape (K, 2), float64
        Its place.
    molecule : ndarray, shape (K,), int64
        Its molecule, here each its own.
    """
    counts = rng.poisson(mean_count, frames)
    frame = np.repeat(np.arange(frames), counts)
    return frame, shape.sample(rng, len(frame)), np.arange(len(frame))


def persistent(
    rng: np.random.Generator, shape: Shape, *, mean_count: float, frames: int, on_frames: float
) -> tuple[NDArray[np.int64], Points, NDArray[np.int64]]:
    """Molecules at fixed places that blink by a Markov chain, frame by frame.

    A molecule shines for ``on_frames`` frames on average, its blinks are ``CYCLE_FRAMES`` apart
    on average, and the chain is stationary. Returns as `independent` does.
    """
    share = on_frames / CYCLE_FRAMES
    place_px = shape.sample(rng, rng.poisson(mean_count / share))
    shines = np.zeros((frames, len(place_px)), bool)
    state = rng.uniform(size=len(place_px)) < share
    for row in shines:
        row[:] = state
        chance = rng.uniform(size=len(state))
        leaves, comes = 1 / on_frames, 1 / (CYCLE_FRAMES - on_frames)
        state = np.where(state, chance >= leaves, chance < comes)
    frame, molecule = np.nonzero(shines)
    return frame.astype(np.int64), place_px[molecule], molecule.astype(np.int64)
