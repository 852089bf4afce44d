"""Background and scale of simulated films: what they follow, and what they must not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm
from smlm_pipeline.compute.levels import LIT_FRAMES_MIN, NOISE_PER_SCALE
from smlm_pipeline.film.sample import Sample
from smlm_pipeline.film.survey import prepared, survey
from smlm_pipeline.settings import Settings
from smlm_training.simulation.camera import Camera, Emccd, Scmos
from smlm_training.simulation.presets import preset_film
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


def _sample(frames_adu: NDArray[np.uint16]) -> Sample:
    return survey(ArrayFilm(frames_adu), Settings()).sample


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


@pytest.mark.parametrize("frames", [LIT_FRAMES_MIN, 16])
def test_scale_of_short_films_is_right_on_average(frames: int, scale_by_theory_adu: float) -> None:
    films = [_frames(seed=seed) for seed in range(8)]
    scales_adu = [
        _scale(film_adu[first : first + frames])
        for film_adu in films
        for first in range(0, 100 - frames + 1, frames)
    ]
    assert np.mean(scales_adu) == pytest.approx(scale_by_theory_adu, rel=0.03)


def _lines(frames: int, size_px: int = 64) -> NDArray[np.uint16]:
    """Dense filaments."""
    made = preset_film("evaluate", seed=7, frames=frames, height_px=size_px, width_px=size_px)
    return made.frames_adu


@pytest.mark.parametrize("frames", [3, 5, 7])
def test_scale_of_a_few_frames_is_not_that_of_the_structure(frames: int) -> None:
    """In space, dense lines fluctuate as molecules of twice the light."""
    film_adu = _lines(60, size_px=128)
    whole_adu = _scale(film_adu)
    parts_adu = [_scale(film_adu[first : first + frames]) for first in range(0, 55, frames)]
    assert np.mean(parts_adu) == pytest.approx(whole_adu, rel=0.12)


def test_the_error_of_a_scale_is_stated() -> None:
    film_adu = _lines(60)
    whole_adu = _scale(film_adu)
    parts = [_sample(film_adu[first : first + 10]) for first in range(0, 60, 10)]
    stated = [part.scale_error or np.nan for part in parts]
    errors = [part.scale_adu / whole_adu - 1 for part in parts]
    assert 0.05 < np.median(stated) < 0.4
    assert 0.3 < np.sqrt(np.mean(np.square(errors) / np.square(stated))) < 1.5
    assert 0 < (_sample(film_adu).scale_error or np.nan) < 0.1


@pytest.mark.parametrize("share", [0.0005, 0.002, 0.01])
@pytest.mark.parametrize("gain", [1, 25])
def test_clipped_light_does_not_lower_the_scale(share: float, gain: int) -> None:
    """Of dense lines, 1 % clipped would leave two thirds of it; 25 times as bright is 16 bits."""
    film_adu = _lines(80)
    whole_adu = _scale(film_adu)
    clipped_adu = np.minimum(film_adu, int(np.quantile(film_adu, 1 - share))) * np.uint16(gain)
    assert _scale(clipped_adu) == pytest.approx(gain * whole_adu, rel=0.05)


@pytest.mark.parametrize("sample", ["uniform-1", "uniform-6"])
def test_clipped_light_of_films_without_structure(sample: str) -> None:
    film_adu = preset_film(sample, seed=7, frames=80, height_px=64, width_px=64).frames_adu
    whole_adu = _scale(film_adu)
    clipped_adu = np.minimum(film_adu, int(np.quantile(film_adu, 0.995)))
    assert _scale(clipped_adu) == pytest.approx(whole_adu, rel=0.05)
