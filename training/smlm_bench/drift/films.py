"""Films of samples that drift by 200 nm, in ways of the laboratory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.films import SuiteFilm, film_lines, make_film
from smlm_bench.structures.shape import PIXEL_SIZE_NM

RANGE_NM = 200.0
"""Farthest two places of a drift, along each axis."""


@dataclass(frozen=True)
class Sample:
    """A film of the suite of structures, of another density of molecules."""

    name: str
    line: str
    density: float
    frames: int = 800


SAMPLES = (
    Sample("dense lines", "short waves in focus", 1.0),
    Sample("sparse lines", "short waves in focus", 0.03),
    Sample("lines, molecules persist", "sparse worms that persist", 1.0),
    Sample("sparse dots, molecules persist", "dots that persist", 0.3),
    Sample("rings, molecules persist", "rings that persist", 0.3),
    Sample("dense filled areas", "blobs beside empty ground", 1.0, 300),
)
"""Dense ones have hundreds of molecules a frame, sparse ones a few."""


def _rest(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros((len(share), 2))


def _linear(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([share, -share], axis=1)


def _steps(share: NDArray[np.float64]) -> NDArray[np.float64]:
    heights = ((0.2, 0.5, -0.3), (0.45, -1.0, 0.4), (0.7, 1.0, 0.9))
    return sum(((share >= at)[:, None] * np.array([y, x]) for at, y, x in heights), _rest(share))


def _wander(share: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(11)
    steps = np.cumsum(rng.normal(size=(len(share), 2)), axis=0)
    width = len(share) // 40
    taps = np.hanning(2 * width + 1)
    padded = np.pad(steps, ((width, width), (0, 0)), mode="edge")
    smooth = [np.convolve(axis, taps / taps.sum(), mode="valid") for axis in padded.T]
    return np.stack(smooth, axis=1)


KINDS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "none": _rest,
    "linear": _linear,
    "steps": _steps,
    "wander": _wander,
}
"""Kinds of drift, over the share of the film that has passed."""


@dataclass(frozen=True)
class DriftingFilm:
    """A film, its emitters at rest, and its drift (frames, 2), y and x, in nm."""

    film: SuiteFilm
    drift_nm: NDArray[np.float64]


def drifting_film(sample: Sample, kind: str) -> DriftingFilm:
    """Make the film of a sample with a kind of drift, which begins at 0."""
    line = next(line for line in film_lines() if line.name == sample.line)
    line = replace(
        line, frames=sample.frames, density_per_um2=line.density_per_um2 * sample.density
    )
    drift = KINDS[kind](np.arange(sample.frames) / sample.frames)
    drift = drift - drift[0]
    drift_nm = drift * RANGE_NM / np.maximum(np.ptp(drift, axis=0), 1e-9)
    return DriftingFilm(make_film(line, drift_nm / PIXEL_SIZE_NM), drift_nm)
