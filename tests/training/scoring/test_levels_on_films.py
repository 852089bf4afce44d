"""Background and scale of simulated films: what they follow, and what they must not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import NOISE_PER_SCALE, TEMPORAL_FRAMES_MIN
from smlm_pipeline.film.survey import prepared
from smlm_training.simulation.camera import Camera, Emccd, Scmos
from smlm_training.simulation.simulate import Emitters, Fluorophore, expected_photons, film
from smlm_training.simulation.structures import Uniform

EMCCD = Emccd(2.0, 100.0)
PHOTONS, PHOTONS_SPREAD, SIGMA_PX = 1500.0, 0.2, 1.1
TOLERANCE = 0.05
"""Of the scale, over densities, backgrounds, sizes and cameras, from 100 frames."""


def _frames(
    *,
    density_per_um2: float = 3.0,
    background_photons: float = 20.0,
    size_px: int = 48,
    photons: float = PHOTONS,
    camera: Camera = EMCCD,
    seed: int = 1,
) -> NDArray[np.uint16]:
    return film(
        np.random.default_rng(seed),
        structure=Uniform(size_px, size_px, density_per_um2 / 100, 6.0),
        fluorophore=Fluorophore(photons, PHOTONS_SPREAD, SIGMA_PX),
        camera=camera,
        background_photons=background_photons,
        frames=100,
        height_px=size_px,
        width_px=size_px,
    ).frames_adu


def _levels(frames_adu: NDArray[np.uint16]) -> tuple[float, float]:
    background_adu, scale_adu = np.median(prepared(frames_adu)[1], axis=0).tolist()
    return background_adu, scale_adu


def _scale(frames_adu: NDArray[np.uint16]) -> float:
    return _levels(frames_adu)[1]


@pytest.fixture(scope="module")
def scale_by_theory_adu() -> float:
    """Campbell's theorem by hand: sums over where one molecule can be, doi 10.1073/pnas.0907866106.

    Photons of relative spread c about a mean p have <p^3> / <p^2> = p (1 + 2 c^2).
    """
    fine_px = (np.arange(16 * 8) + 0.5) / 8
    y_px, x_px = (axis.reshape(-1, 1) for axis in np.meshgrid(fine_px, fine_px, indexing="ij"))
    one = np.ones_like(y_px)
    spots = expected_photons(Emitters(y_px, x_px, one, SIGMA_PX * one), 16, 16)
    here, right, below = spots[:, 7, 7], spots[:, 7, 8], spots[:, 8, 7]
    shape = float((here * right * below).sum() / (here * right).sum())
    return EMCCD.adu_per_photon * PHOTONS * (1 + 2 * PHOTONS_SPREAD**2) * shape


@pytest.mark.parametrize("density_per_um2", [0.3, 1.0, 3.0, 6.0, 9.0])
def test_scale_does_not_depend_on_density(
    density_per_um2: float, scale_by_theory_adu: float
) -> None:
    scale_adu = _scale(_frames(density_per_um2=density_per_um2))
    assert scale_adu == pytest.approx(scale_by_theory_adu, rel=TOLERANCE)


@pytest.mark.parametrize("background_photons", [0.0, 5.0, 100.0])
def test_scale_does_not_depend_on_background(
    background_photons: float, scale_by_theory_adu: float
) -> None:
    scale_adu = _scale(_frames(background_photons=background_photons))
    assert scale_adu == pytest.approx(scale_by_theory_adu, rel=TOLERANCE)


@pytest.mark.parametrize("size_px", [32, 64, 96])
def test_scale_does_not_depend_on_frame_size(size_px: int, scale_by_theory_adu: float) -> None:
    scale_adu = _scale(_frames(size_px=size_px))
    assert scale_adu == pytest.approx(scale_by_theory_adu, rel=TOLERANCE)


def test_scale_does_not_depend_on_the_cameras_noise(scale_by_theory_adu: float) -> None:
    camera = Scmos(2.0, 100.0, 5.0)
    assert _scale(_frames(camera=camera)) == pytest.approx(scale_by_theory_adu, rel=TOLERANCE)


@pytest.mark.parametrize("photons", [500.0, 5000.0])
def test_scale_follows_the_brightness_of_molecules(
    photons: float, scale_by_theory_adu: float
) -> None:
    expected_adu = scale_by_theory_adu * photons / PHOTONS
    assert _scale(_frames(photons=photons)) == pytest.approx(expected_adu, rel=TOLERANCE)


def test_background_lies_just_above_the_empty_pixels() -> None:
    """Sparse molecules: the low ranks are noise about 2 ADU x 20 photons on a base of 100 ADU."""
    background_adu, _ = _levels(_frames(density_per_um2=0.3))
    noise_adu = np.sqrt(2 * 2.0**2 * 20)
    assert 140 - 1.6 * noise_adu < background_adu < 140


@pytest.mark.parametrize(("gain", "offset_adu"), [(1, 357), (3, 0), (7, 1000)])
def test_levels_follow_gain_and_offset(gain: int, offset_adu: int) -> None:
    frames = _frames()
    background_adu, scale_adu = _levels(frames)
    changed = _levels((frames * gain + offset_adu).astype(np.uint16))
    np.testing.assert_allclose(
        changed, (background_adu * gain + offset_adu, scale_adu * gain), rtol=1e-5
    )


@pytest.mark.parametrize("reading_adu", [2_000, 20_000, 65_535])
def test_a_flickering_hot_pixel_changes_little(reading_adu: int) -> None:
    frames = _frames()
    background_adu, scale_adu = _levels(frames)
    flicker = np.random.default_rng(3).random(len(frames)) < 0.2
    hot = frames.copy()
    hot[flicker, 20, 20] = reading_adu
    assert np.std(hot[:, 20, 20]) > 5 * np.std(frames[:, 20, 20])
    hot_background_adu, hot_scale_adu = _levels(hot)
    assert hot_background_adu == pytest.approx(background_adu, abs=0.1)
    assert hot_scale_adu == pytest.approx(scale_adu, rel=0.1)


def test_film_without_molecules_is_scaled_by_its_noise() -> None:
    frames = _frames(density_per_um2=0.0)
    noise_adu = np.sqrt(2 * 2.0**2 * 20)
    assert _scale(frames) == pytest.approx(NOISE_PER_SCALE * noise_adu, rel=0.02)


@pytest.mark.parametrize("frames", [TEMPORAL_FRAMES_MIN, 16])
def test_scale_of_short_films_is_right_on_average(frames: int, scale_by_theory_adu: float) -> None:
    films = [_frames(seed=seed) for seed in range(8)]
    scales_adu = [
        _scale(film_adu[first : first + frames])
        for film_adu in films
        for first in range(0, 100 - frames + 1, frames)
    ]
    assert np.mean(scales_adu) == pytest.approx(scale_by_theory_adu, rel=0.03)
