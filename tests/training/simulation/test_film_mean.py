"""The mean of a long film, made in one go, is that of a film whose frames are simulated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_training.fitting.datasets import random_film
from smlm_training.fitting.ranges import Ranges
from smlm_training.simulation.camera import Emccd, Scmos
from smlm_training.simulation.simulate import Fluorophore, average_photons, expected_photons, shine
from smlm_training.simulation.structures import Uniform

SIZE_PX = 20
FLUOROPHORE = Fluorophore(photons=1000, photons_spread=0.2, sigma_px=1.2)
STRUCTURE = Uniform(SIZE_PX, SIZE_PX, 0.05, 6.0)


def _mean_photons(frames: int, seed: int, **more: tuple[float, float]) -> NDArray[np.float64]:
    return average_photons(
        np.random.default_rng(seed),
        STRUCTURE,
        FLUOROPHORE,
        frames=frames,
        height_px=SIZE_PX,
        width_px=SIZE_PX,
        **more,
    )


def test_its_light_is_that_of_the_molecules() -> None:
    """1000 photons from 0.05 molecules a pixel, at the edges as in the middle."""
    mean = _mean_photons(20_000, seed=1)
    assert mean.shape == (SIZE_PX, SIZE_PX)
    assert mean.mean() == pytest.approx(50, rel=0.01)
    assert mean[0].mean() == pytest.approx(50, rel=0.03)


def test_it_fluctuates_as_the_mean_of_as_many_frames() -> None:
    rng = np.random.default_rng(2)
    emitters = shine(rng, STRUCTURE, FLUOROPHORE, 4000)
    frames = expected_photons(emitters, SIZE_PX, SIZE_PX).reshape(80, 50, SIZE_PX, SIZE_PX)
    in_one_go = np.stack([_mean_photons(50, seed) for seed in range(80)])
    assert in_one_go.std(axis=0).mean() == pytest.approx(
        frames.mean(axis=1).std(axis=0).mean(), rel=0.05
    )


def test_drift_smears_it() -> None:
    line = _LineOfOne()
    still, moving = (
        average_photons(
            np.random.default_rng(3),
            line,
            FLUOROPHORE,
            frames=5000,
            height_px=SIZE_PX,
            width_px=SIZE_PX,
            drift_px=drift_px,
        )
        for drift_px in ((0.0, 0.0), (4.0, 0.0))
    )
    rows = np.arange(SIZE_PX) + 0.5
    variances = [np.average((rows - 10) ** 2, weights=mean.sum(axis=1)) for mean in (still, moving)]
    assert variances[1] - variances[0] == pytest.approx(4**2 / 12, rel=0.05)


class _LineOfOne:
    """All molecules at one place."""

    def expected_count(self) -> float:
        return 1.0

    def sample(
        self, _: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.full(count, 10.0), np.full(count, 10.0)


@pytest.mark.parametrize("camera", [Emccd(3.0, 200.0, 4.0), Scmos(1.5, 100.0, 2.0)])
def test_a_camera_averages_as_its_readings_do(camera: Emccd | Scmos) -> None:
    rng = np.random.default_rng(4)
    photons = np.full((100, 100), 40.0)
    frames = 64
    readings = np.mean([camera.expose(rng, photons) for _ in range(frames)], axis=0)
    averages = camera.average(rng, photons, frames)
    assert averages.mean() == pytest.approx(readings.mean(), abs=0.2)
    assert averages.std() == pytest.approx(readings.std(), rel=0.05)


def test_a_training_films_mean_shows_its_own_sample() -> None:
    """The mean of the frames that are trained on and of others: near the former's own mean."""
    ranges = Ranges(patch_px=24, other_frames=(300, 301), drift_share=0.0, empty_share=0.0)
    for seed in range(4):
        made = random_film(np.random.default_rng(seed), ranges)
        film, mean_adu = made.film, made.mean_adu
        assert mean_adu.dtype == np.float32
        short_adu = film.frames_adu.mean(axis=0)
        assert mean_adu.mean() == pytest.approx(short_adu.mean(), rel=0.05)
        noise = (film.frames_adu.std(axis=0) / np.sqrt(ranges.frames_per_film)).mean()
        assert np.abs(mean_adu - short_adu).mean() < 1.5 * noise
