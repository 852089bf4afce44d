"""Films: where light falls, how much of it, and in which frame."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from smlm_training.simulation.camera import Scmos
from smlm_training.simulation.profiles import Profile, integrated_profile, sampled_profile
from smlm_training.simulation.simulate import (
    Emitters,
    Fluorophore,
    expected_photons,
    film,
    joined,
    shine,
)
from smlm_training.simulation.structures import Filaments, Uniform

both_spots = pytest.mark.parametrize("profile", [integrated_profile, sampled_profile])


def _molecule(y_px: float, x_px: float, *, photons: float, sigma_px: float) -> Emitters:
    return Emitters(*(np.array([[value]]) for value in (y_px, x_px, photons, sigma_px)))


def _centres(size_px: int) -> NDArray[np.float64]:
    return np.arange(size_px) + 0.5


@both_spots
def test_molecule_sheds_all_its_photons_about_its_position(profile: Profile) -> None:
    molecule = _molecule(20.3, 29.8, photons=1234.5, sigma_px=1.1)
    (frame,) = expected_photons(molecule, 40, 60, profile=profile)
    assert frame.sum() == pytest.approx(1234.5, rel=1e-9)
    assert frame.sum(axis=1) @ _centres(40) / frame.sum() == pytest.approx(20.3, abs=1e-6)
    assert frame.sum(axis=0) @ _centres(60) / frame.sum() == pytest.approx(29.8, abs=1e-6)


def test_integrated_spot_by_hand() -> None:
    (frame,) = expected_photons(_molecule(2.5, 3.5, photons=1000, sigma_px=1.0), 6, 8)
    middle, next_to_it = 0.3829249225, 0.2417303375  # of a normal variable: |z| < 0.5, 0.5..1.5
    assert frame[2, 3] == pytest.approx(1000 * middle**2, rel=1e-8)
    assert frame[2, 4] == frame[1, 3] == pytest.approx(1000 * middle * next_to_it, rel=1e-8)
    assert frame[3, 2] == pytest.approx(1000 * next_to_it**2, rel=1e-8)


def test_sampled_spot_by_hand() -> None:
    molecule = _molecule(2.5, 3.5, photons=1000, sigma_px=2.0)
    (frame,) = expected_photons(molecule, 6, 8, profile=sampled_profile)
    assert frame[2, 3] == pytest.approx(1000 / (2 * np.pi * 4))
    assert frame[2, 5] == pytest.approx(1000 / (2 * np.pi * 4) * np.exp(-0.5))
    assert frame[0, 5] == pytest.approx(1000 / (2 * np.pi * 4) * np.exp(-1))


def test_positions_count_from_the_corner_with_x_along_columns() -> None:
    (frame,) = expected_photons(_molecule(1.5, 6.5, photons=10, sigma_px=0.8), 4, 9)
    assert np.unravel_index(frame.argmax(), frame.shape) == (1, 6)
    on_the_corner = _molecule(0.0, 0.0, photons=10, sigma_px=0.8)
    (frame,) = expected_photons(on_the_corner, 12, 12)
    assert frame.sum() == pytest.approx(10 / 4)


@both_spots
def test_molecule_beyond_the_edge_shines_in(profile: Profile) -> None:
    outside = _molecule(-0.7, 4.0, photons=1000, sigma_px=1.3)
    (frame,) = expected_photons(outside, 8, 8, profile=profile)
    wider = Emitters(outside.y_px + 10, outside.x_px + 10, outside.photons, outside.sigma_px)
    (whole,) = expected_photons(wider, 28, 28, profile=profile)
    np.testing.assert_allclose(frame, whole[10:18, 10:18], rtol=1e-12)
    assert not outside.inside(8, 8).any()


def test_light_of_molecules_adds_up_frame_by_frame() -> None:
    rng = np.random.default_rng(1)
    shape = (3, 5)
    emitters = Emitters(
        rng.uniform(-2, 12, shape),
        rng.uniform(-2, 14, shape),
        rng.uniform(0, 900, shape),
        rng.uniform(0.8, 1.6, shape),
    )
    frames = expected_photons(emitters, 10, 12)
    assert frames.shape == (3, 10, 12)
    rows, columns = np.arange(10)[:, None], np.arange(12)
    for frame in range(3):
        summed = np.zeros((10, 12))
        for y_px, x_px, photons, sigma_px, _ in zip(
            *(values[frame] for values in vars(emitters).values()), strict=True
        ):
            scale = np.sqrt(2) * sigma_px
            along_y = erf((rows + 1 - y_px) / scale) - erf((rows - y_px) / scale)
            along_x = erf((columns + 1 - x_px) / scale) - erf((columns - x_px) / scale)
            summed += photons / 4 * along_y * along_x
        np.testing.assert_allclose(frames[frame], summed, rtol=1e-9)


def test_field_is_half_open_and_free_places_are_not_in_it() -> None:
    y_px = np.array([[0.0, 7.999, 8.0, -0.001, 3.0, 3.0]])
    x_px = np.array([[0.0, 9.999, 3.0, 3.0, 10.0, 3.0]])
    photons = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
    emitters = Emitters(y_px, x_px, photons, np.ones_like(photons))
    assert emitters.inside(8, 10).tolist() == [[True, True, False, False, False, False]]


def test_molecules_that_shine_have_the_stated_statistics() -> None:
    structure = Uniform(40, 50, density_per_px2=0.02, border_px=5)
    frames, expected = 1000, 0.02 * 50 * 60
    emitters = shine(np.random.default_rng(2), structure, Fluorophore(1500, 0.3, 1.2), frames)
    taken = emitters.photons > 0
    counts = taken.sum(axis=1)
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / frames))
    assert counts.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / frames))
    error = 4 / np.sqrt(counts.sum())
    photons = emitters.photons[taken]
    assert photons.mean() == pytest.approx(1500, rel=0.3 * error)
    assert photons.std() / photons.mean() == pytest.approx(0.3, rel=error)
    sigma_px = emitters.sigma_px[taken]
    assert sigma_px.mean() == pytest.approx(1.2, rel=0.03 * error)
    assert sigma_px.std() == pytest.approx(0.03 * 1.2, rel=error)
    share = emitters.inside(40, 50)[taken].mean()
    assert share == pytest.approx(40 * 50 / (50 * 60), rel=error)


def test_frames_are_independent() -> None:
    structure = Uniform(40, 50, density_per_px2=0.05, border_px=0)
    emitters = shine(np.random.default_rng(3), structure, Fluorophore(1500, 0.3, 1.2), 400)
    counts = (emitters.photons > 0).sum(axis=1)
    correlation = np.corrcoef(counts[:-1], counts[1:])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(400)


def test_film_without_molecules_is_its_background() -> None:
    background = np.arange(48.0).reshape(6, 8) + 20
    made = film(
        np.random.default_rng(4),
        structure=Uniform(6, 8, 0.0, 6.0),
        fluorophore=Fluorophore(1000, 0.2, 1.0),
        camera=Scmos(1.0, 100.0, 0.0),
        background_photons=background,
        frames=2000,
        height_px=6,
        width_px=8,
    )
    assert not made.emitters.inside(6, 8).any()
    off_adu = np.abs(made.frames_adu.mean(axis=0) - background - 100)
    assert (off_adu < 5 * np.sqrt(background / 2000)).all()


@both_spots
def test_wide_fields_are_rendered_as_narrow_ones(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 x 70 pixels in tiles, with molecules on the seams and beyond the edges."""
    rng = np.random.default_rng(5)
    emitters = shine(rng, Uniform(300, 70, 0.02, 6.0), Fluorophore(1500, 0.3, 1.2), 3)
    emitters.y_px[:, :4] = [[64.0, 63.9, 128.0, -3.0]]
    tiled = expected_photons(emitters, 300, 70, profile=profile)
    monkeypatch.setattr("smlm_training.simulation.simulate._WIDE_PX", 300)
    whole = expected_photons(emitters, 300, 70, profile=profile)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-9)


def test_frames_rendered_a_few_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = Uniform(20, 30, 0.05, 6.0)
    emitters = shine(np.random.default_rng(6), structure, Fluorophore(1500, 0.3, 1.2), 7)
    at_once = expected_photons(emitters, 20, 30)
    monkeypatch.setattr("smlm_training.simulation.simulate._PROFILE_VALUES", 50 * 60 * 2)
    np.testing.assert_array_equal(expected_photons(emitters, 20, 30), at_once)


def test_film_takes_the_shape_of_the_spot() -> None:
    """One molecule in the middle of a pixel, sampled: a peak 5 % above the integrated one."""
    sums = []
    for profile in (integrated_profile, sampled_profile):
        made = film(
            np.random.default_rng(7),
            structure=Filaments(np.array([[8.5, 8.5]]), np.ones(1), 30.0, 0.0),
            fluorophore=Fluorophore(1e4, 0.0, 1.0, sigma_spread=0.0),
            camera=Scmos(0.1, 0.0, 0.0),
            background_photons=0.0,
            frames=50,
            height_px=17,
            width_px=17,
            profile=profile,
        )
        count = made.emitters.inside(17, 17).sum()
        sums.append(made.frames_adu[:, 8, 8].sum() / count * 10 / 1e4)
    assert sums[0] == pytest.approx(0.3829249225**2, rel=0.01)
    assert sums[1] == pytest.approx(1 / (2 * np.pi), rel=0.01)


def test_blocks_join_to_one_film() -> None:
    parts = [
        film(
            np.random.default_rng(seed),
            structure=Uniform(16, 16, density, 6.0),
            fluorophore=Fluorophore(1000, 0.2, 1.0),
            camera=Scmos(1.0, 100.0, 0.0),
            background_photons=5.0,
            frames=frames,
            height_px=16,
            width_px=16,
        )
        for seed, density, frames in ((1, 0.02, 3), (2, 0.2, 4))
    ]
    whole = joined(parts)
    assert whole.frames_adu.shape == (7, 16, 16)
    np.testing.assert_array_equal(whole.frames_adu[3:], parts[1].frames_adu)
    places = parts[0].emitters.photons.shape[1]
    np.testing.assert_array_equal(whole.emitters.y_px[:3, :places], parts[0].emitters.y_px)
    assert not whole.emitters.photons[:3, places:].any()
    assert np.isfinite(expected_photons(whole.emitters, 16, 16)).all()
