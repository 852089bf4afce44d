"""Molecules of simple samples that drift, and films of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.points import Points

FIELD_NM = 8000.0
PRECISION_NM = 12.0


def _curves(rng: np.random.Generator) -> NDArray[np.float64]:
    paths = []
    for _ in range(15):
        angle = rng.uniform(0, np.pi) + np.cumsum(rng.normal(0, 0.02, 900))
        step = 12 * np.stack([np.sin(angle), np.cos(angle)])
        paths.append(rng.uniform(0, FIELD_NM, (2, 1)) + np.cumsum(step, axis=1))
    return np.concatenate(paths, axis=1)


def _dots(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(300, FIELD_NM - 300, (2, 40))


def _blobs(rng: np.random.Generator) -> NDArray[np.float64]:
    """Filled discs, some across the edge of the field, that no molecule shows twice."""
    places = rng.uniform(0, FIELD_NM, (2, 400_000))
    middles = rng.uniform(0, FIELD_NM, (2, 12))
    near = np.hypot(*(places[:, None] - middles[:, :, None])).min(axis=0) < 700
    return np.asarray(places[:, near])


def _nearly_parallel(rng: np.random.Generator) -> NDArray[np.float64]:
    paths = []
    for _ in range(12):
        angle = rng.normal(0.8, 0.1) + np.cumsum(rng.normal(0, 0.01, 900))
        step = 12 * np.stack([np.sin(angle), np.cos(angle)])
        paths.append(rng.uniform(-3000, 5000, (2, 1)) + np.cumsum(step, axis=1))
    return np.concatenate(paths, axis=1)


STRUCTURES: Mapping[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "curves": _curves,
    "dots": _dots,
    "blobs": _blobs,
    "nearly parallel": _nearly_parallel,
}


def drift_nm(kind: str, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Drift (2, F) of up to 200 nm: none, linear, steps or wander."""
    share = np.arange(frames) / frames
    if kind == "linear":
        return np.stack([160 * share, -120 * share])
    if kind == "steps":
        moved = np.zeros((2, frames))
        for at, size in {0.2: (70, -40), 0.45: (-130, 60), 0.7: (140, 80)}.items():
            moved += np.outer(size, share >= at)
        return moved
    if kind == "wander":
        phase = rng.uniform(0, 2 * np.pi, (2, 3, 1))
        waves = np.sin(2 * np.pi * np.array([[1.0], [2.3], [3.7]]) * share + phase)
        return np.asarray((waves * np.array([[60.0], [30.0], [15.0]])).sum(axis=1))
    return np.zeros((2, frames))


def molecules(
    structure: str, kind: str, *, frames: int, per_frame: float, seed: int = 5
) -> tuple[Points, NDArray[np.float64]]:
    """Molecules that shine for 2.5 frames on average, and the drift (2, F) of each frame."""
    rng = np.random.default_rng(seed)
    sample, moved = STRUCTURES[structure](rng), drift_nm(kind, frames, rng)
    begins = np.repeat(np.arange(frames), rng.poisson(per_frame / 2.5, frames))
    chosen, lasts = rng.integers(sample.shape[1], size=len(begins)), rng.geometric(0.4, len(begins))
    frame = np.repeat(begins, lasts) + np.concatenate([np.arange(each) for each in lasts])
    place = sample[:, np.repeat(chosen, lasts)]
    inside = frame < frames
    order = np.argsort(frame[inside], kind="stable")
    frame, place = frame[inside][order], place[:, inside][:, order]
    errors = rng.normal(0, PRECISION_NM, place.shape)
    return Points(frame, place + moved[:, frame] + errors), moved


def rms_nm(apart: NDArray[np.float64]) -> float:
    """Root mean square along an axis, about the mean."""
    return float(np.sqrt(apart.var(axis=1).mean()))


def film_adu(
    kind: str, *, frames: int, edge_px: int = 32, blinks: int | None = None
) -> NDArray[np.uint16]:
    """A film (F, E, E) of 16 dots that blink, of pixels of 100 nm, whose sample drifts.

    Another number of ``blinks`` makes the same dots blink otherwise.
    """
    rng = np.random.default_rng(1)
    centres = np.arange(edge_px) + 0.5
    dots_px = rng.uniform(6, edge_px - 6, (16, 2))
    moved_px = drift_nm(kind, frames, rng).T / 100
    rng = rng if blinks is None else np.random.default_rng(blinks)
    photons = np.full((frames, edge_px, edge_px), 100.0)
    for frame, place_px in zip(photons, moved_px, strict=True):
        for y, x in dots_px[rng.choice(len(dots_px), 4, replace=False)] + place_px:
            spot_y, spot_x = (np.exp(-((centres - at) ** 2) / 2 / 1.3**2) for at in (y, x))
            frame += 400 * np.outer(spot_y, spot_x)
    return rng.poisson(photons).astype(np.uint16)
