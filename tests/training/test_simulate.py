"""Films: where light falls, how much, and that ThunderSTORM's own film comes out the same."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy.special import erf

from smlm_training.camera import Scmos
from smlm_training.presets import PRESETS, preset_film
from smlm_training.simulate import Emitters, Fluorophore, expected_photons, film, shine
from smlm_training.structures import Uniform

THUNDERSTORM = Path(__file__).parents[3] / "shared" / "data" / "thunderstorm"
"""Made with 2 ADU a photon, a base of 100 ADU and 20 photons of background."""

both_spots = pytest.mark.parametrize("integrated", [True, False], ids=["integrated", "sampled"])


def _molecule(y_px: float, x_px: float, *, photons: float, sigma_px: float) -> Emitters:
    return Emitters(*(np.array([[value]]) for value in (y_px, x_px, photons, sigma_px)))


def _centres(size_px: int) -> NDArray[np.float64]:
    return np.arange(size_px) + 0.5


@both_spots
def test_molecule_sheds_all_its_photons_about_its_position(integrated: bool) -> None:
    molecule = _molecule(20.3, 29.8, photons=1234.5, sigma_px=1.1)
    (frame,) = expected_photons(molecule, 40, 60, integrated=integrated)
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
    (frame,) = expected_photons(molecule, 6, 8, integrated=False)
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
def test_molecule_beyond_the_edge_shines_in(integrated: bool) -> None:
    outside = _molecule(-0.7, 4.0, photons=1000, sigma_px=1.3)
    (frame,) = expected_photons(outside, 8, 8, integrated=integrated)
    wider = Emitters(outside.y_px + 10, outside.x_px + 10, outside.photons, outside.sigma_px)
    (whole,) = expected_photons(wider, 28, 28, integrated=integrated)
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
        for y_px, x_px, photons, sigma_px in zip(
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


@pytest.mark.parametrize("name", PRESETS)
def test_same_seed_gives_the_same_film(name: str) -> None:
    first, again, other = (
        preset_film(name, seed=seed, frames=3, height_px=20, width_px=28) for seed in (1, 1, 2)
    )
    assert first.frames_adu.shape == (3, 20, 28)
    assert first.frames_adu.dtype == np.uint16
    np.testing.assert_array_equal(first.frames_adu, again.frames_adu)
    np.testing.assert_array_equal(first.emitters.y_px, again.emitters.y_px)
    assert (first.frames_adu != other.frames_adu).any()


@pytest.mark.parametrize("density_per_um2", [1, 3, 6, 9])
def test_uniform_presets_have_the_density_of_their_name(density_per_um2: int) -> None:
    name = f"uniform-{density_per_um2}"
    made = preset_film(name, seed=1, frames=100, height_px=32, width_px=64)
    expected = density_per_um2 * 3.2 * 6.4 * 100
    assert made.emitters.inside(32, 64).sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))


@dataclass(frozen=True)
class _Rendered:
    """ThunderSTORM's film, and what its true molecules should have given."""

    frames_adu: NDArray[np.float64]
    expected_adu: dict[bool, NDArray[np.float64]]
    """By whether the spot is integrated over pixels."""

    def off(self, integrated: bool) -> NDArray[np.float64]:
        return self.frames_adu - self.expected_adu[integrated]

    def excess_noise(self, integrated: bool) -> float:
        """Slope of the variance (ADU^2) over the mean (ADU), in units of the gain."""
        light_adu = (self.expected_adu[integrated] - 100).ravel()
        slope, _ = np.polyfit(light_adu, self.off(integrated).ravel() ** 2, 1)
        return float(slope) / 2

    def gain(self, integrated: bool) -> float:
        """Slope of the readings over what was expected."""
        expected_adu = self.expected_adu[integrated].ravel()
        return float(np.polyfit(expected_adu, self.frames_adu.ravel(), 1)[0])

    def mean_frame_error(self, integrated: bool) -> float:
        """Of the mean frame without base and background, relative to its norm."""
        signal_adu = self.expected_adu[integrated].mean(axis=0) - 140
        off_adu = self.off(integrated).mean(axis=0)
        return float(np.linalg.norm(off_adu) / np.linalg.norm(signal_adu))

    def shot_noise_error(self) -> float:
        """What ``mean_frame_error`` is by noise alone: variance is 4 ADU^2 per ADU of light."""
        light_adu = self.expected_adu[False].mean(axis=0) - 100
        variance_adu2 = 4 * light_adu.sum() / len(self.frames_adu)
        return float(np.sqrt(variance_adu2) / np.linalg.norm(light_adu - 40))


@pytest.fixture(scope="module")
def rendered() -> _Rendered:
    if not THUNDERSTORM.exists():
        pytest.skip("../shared/data/thunderstorm is not there")
    frames_adu = tifffile.imread(THUNDERSTORM / "stack.tif").astype(np.float64)
    with (THUNDERSTORM / "positions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    frame = np.array([int(row["frame"]) - 1 for row in rows])
    place = np.arange(len(rows)) - np.searchsorted(frame, frame)
    emitters = Emitters(*(np.zeros((len(frames_adu), place.max() + 1)) for _ in range(4)))
    emitters.sigma_px[:] = 1
    for values, column, unit in (
        (emitters.y_px, "y [nm]", 100),
        (emitters.x_px, "x [nm]", 100),
        (emitters.photons, "intensity [photon]", 1),
        (emitters.sigma_px, "sigma [nm]", 100),
    ):
        values[frame, place] = [float(row[column]) / unit for row in rows]
    height_px, width_px = frames_adu.shape[1:]
    expected_adu = {
        integrated: 100
        + 2 * (20 + expected_photons(emitters, height_px, width_px, integrated=integrated))
        for integrated in (True, False)
    }
    return _Rendered(frames_adu, expected_adu)


def test_thunderstorms_mean_frame_comes_out(rendered: _Rendered) -> None:
    """2.85 % off, all of it the shot noise of 20 frames, with the spot sampled at pixel centres."""
    assert rendered.mean_frame_error(integrated=False) < 0.030
    by_noise = rendered.shot_noise_error()
    assert rendered.mean_frame_error(integrated=False) == pytest.approx(by_noise, rel=0.03)
    assert rendered.gain(integrated=False) == pytest.approx(1, abs=0.01)


def test_thunderstorms_noise_comes_out(rendered: _Rendered) -> None:
    assert rendered.excess_noise(integrated=False) == pytest.approx(2, abs=0.1)


def test_thunderstorm_samples_its_spot_where_a_camera_integrates(rendered: _Rendered) -> None:
    """The integrated spot is a twelfth of a pixel^2 wider, so it peaks 3 % lower."""
    assert rendered.mean_frame_error(integrated=True) < 0.035
    assert rendered.gain(integrated=True) == pytest.approx(1.03, abs=0.01)
    assert rendered.excess_noise(integrated=True) > 2.3
