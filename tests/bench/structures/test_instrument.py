"""Molecules blink, are imaged and read as their settings say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("scipy")

from smlm_bench.structures import areas, kinetics
from smlm_bench.structures.cameras import camera
from smlm_bench.structures.ideal import bounds_px
from smlm_bench.structures.optics import REACH_PX, Optics, gaussian, optics
from smlm_bench.structures.shape import FIELD_PX
from smlm_pipeline.errors import SettingError

EVERYWHERE = areas.uniform(np.random.default_rng(0), 0)
OFFSET_PX = np.arange(-REACH_PX, REACH_PX + 1) + 0.5


def image(seen_by: Optics, place_px: tuple[float, float], plane: int = 0) -> NDArray[np.float64]:
    (found,) = seen_by.images(np.array([place_px]), np.array([plane]))
    return np.asarray(found, np.float64)


def centre_and_width_px(
    shares: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    profiles = [shares.sum(axis=1) / shares.sum(), shares.sum(axis=0) / shares.sum()]
    centre = np.array([profile @ OFFSET_PX for profile in profiles])
    variance = [
        profile @ (OFFSET_PX - mean) ** 2 for profile, mean in zip(profiles, centre, strict=True)
    ]
    return centre, np.sqrt(variance)


def test_independent_molecules_come_at_their_rate_and_never_again() -> None:
    frame, place, molecule = kinetics.independent(
        np.random.default_rng(1), EVERYWHERE, mean_count=50, frames=400
    )
    counts = np.bincount(frame, minlength=400)
    assert counts.mean() == pytest.approx(50, rel=0.03)
    assert counts.var() == pytest.approx(50, rel=0.25)
    assert len(np.unique(molecule)) == len(frame) == len(place)


@pytest.mark.parametrize("on_frames", [1, 3, 10])
def test_persistent_molecules_shine_for_their_mean_time_at_one_place(on_frames: int) -> None:
    frame, place, molecule = kinetics.persistent(
        np.random.default_rng(2), EVERYWHERE, mean_count=60, frames=1000, on_frames=on_frames
    )
    assert len(frame) / 1000 == pytest.approx(60, rel=0.1)
    shines = np.zeros((1001, molecule.max() + 1), bool)
    shines[frame, molecule] = True
    blinks = (~shines[:-1] & shines[1:]).sum() + shines[0].sum()
    assert shines.sum() / blinks == pytest.approx(on_frames, rel=0.1)
    of_one = molecule == molecule[0]
    assert np.all(place[of_one] == place[of_one][0])


def test_a_gaussian_has_its_light_place_and_width() -> None:
    shares = image(gaussian(1.3), (10.3, 20.85))
    assert shares.sum() == pytest.approx(1, abs=1e-4)
    centre, width = centre_and_width_px(shares)
    assert centre == pytest.approx([0.3, 0.85], abs=2e-3)
    assert width == pytest.approx(np.sqrt(1.3**2 + 1 / 12), abs=5e-3)


def test_an_airy_disk_has_its_zero_and_its_core() -> None:
    sigma_px = 4 * 0.21 / 0.61  # the first zero is 0.61 lambda / NA from the middle
    shares = image(optics("airy", sigma_px), (0.5, 0.5))
    assert 0.93 < shares.sum() <= 1
    middle = shares[REACH_PX] / shares.max()
    assert np.argmin(middle[REACH_PX : REACH_PX + 6]) == 4
    gauss = image(gaussian(sigma_px), (0.5, 0.5))[REACH_PX]
    assert middle[REACH_PX + 1] == pytest.approx(gauss[REACH_PX + 1] / gauss.max(), abs=0.03)


def test_defocus_spreads_the_light_and_keeps_it() -> None:
    seen_by = optics("defocus", 1.1)
    peaks = [image(seen_by, (0.5, 0.5), plane).max() for plane in range(seen_by.planes)]
    assert np.all(np.diff(peaks) < 0)
    assert 0.4 < peaks[-1] / peaks[0] < 0.8
    assert image(seen_by, (0.5, 0.5), seen_by.planes - 1).sum() > 0.93


def test_astigmatism_stretches_along_one_axis_above_and_the_other_below_the_focus() -> None:
    seen_by = optics("astig", 1.2)
    middle = slice(REACH_PX - 3, REACH_PX + 4)

    def stretch(plane: int) -> float:
        core = image(seen_by, (0.5, 0.5), plane)[middle, middle]
        return float(core[0].sum() / core[:, 0].sum())

    assert stretch(0) * stretch(3) == pytest.approx(1, rel=0.01)
    assert abs(np.log(stretch(0))) > 0.3


def test_a_film_puts_each_molecule_at_its_place_also_beyond_the_edge() -> None:
    place = np.array([[30.25, 40.75], [-2.0, 10.0], [63.9, 66.0]])
    frame, plane = np.array([0, 1, 1]), np.zeros(3, np.int64)
    light = gaussian(1.1).film(frame, place, np.array([1000.0, 500.0, 500.0]), plane, 2)
    assert light.shape == (2, FIELD_PX, FIELD_PX)
    assert light[0].sum() == pytest.approx(1000, rel=1e-3)
    pixel = np.arange(FIELD_PX) + 0.5
    assert light[0].sum(axis=1) @ pixel / 1000 == pytest.approx(30.25, abs=0.01)
    assert light[0].sum(axis=0) @ pixel / 1000 == pytest.approx(40.75, abs=0.01)
    assert 0 < light[1].sum() < 100


@pytest.mark.parametrize(("kind", "excess"), [("emccd", 2.0), ("scmos", 1.0)])
def test_cameras_have_their_gain_and_noise(kind: str, excess: float) -> None:
    rng = np.random.default_rng(3)
    taken_by = camera(kind, rng, 32)  # type: ignore[arg-type]
    assert taken_by.excess_noise == excess
    dark, light = (
        taken_by.expose(rng, np.full((400, 32, 32), level)).astype(float) for level in (0.0, 200.0)
    )
    gain = (light.mean(axis=0) - dark.mean(axis=0)) / 200
    assert gain.mean() == pytest.approx(np.mean(taken_by.gain_adu), rel=0.01)
    assert dark.mean() == pytest.approx(np.mean(taken_by.offset_adu), abs=1)
    read_adu = taken_by.read_noise_photons * np.mean(taken_by.gain_adu)
    assert np.sqrt(dark.var(axis=0).mean()) == pytest.approx(read_adu, rel=0.05)
    added = (light.var(axis=0) - dark.var(axis=0)) / gain**2
    assert added.mean() == pytest.approx(excess * 200, rel=0.05)
    if kind == "scmos":
        assert np.std(taken_by.gain_adu) / np.mean(taken_by.gain_adu) == pytest.approx(
            0.02, rel=0.2
        )


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(SettingError, match="psf is 'square'; expected one of gauss, airy"):
        optics("square", 1.1)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="camera is 'film'; expected one of emccd, scmos"):
        camera("film", np.random.default_rng(0), 8)  # type: ignore[arg-type]


def test_the_bound_of_a_bright_molecule_is_sigma_over_the_root_of_its_photons() -> None:
    taken_by = camera("scmos", np.random.default_rng(4), 8)
    photons = np.array([1e6, 4e6])
    bounds = bounds_px(
        gaussian(1.5), taken_by, photons=photons, plane=np.zeros(2, int), background_photons=0
    )
    expected = np.sqrt((1.5**2 + 1 / 12) / photons)
    assert bounds == pytest.approx(np.repeat(expected[:, None], 2, axis=1), rel=0.03)
    multiplied = bounds_px(
        gaussian(1.5),
        camera("emccd", np.random.default_rng(4), 8),
        photons=photons,
        plane=np.zeros(2, int),
        background_photons=0,
    )
    assert multiplied / bounds == pytest.approx(2**0.5, rel=0.01)


def test_the_bound_under_background_is_that_of_the_formula() -> None:
    taken_by = camera("scmos", np.random.default_rng(4), 8)
    photons, background, sigma_px = 1000.0, 50.0, 1.3
    (bound, _), *_ = bounds_px(
        gaussian(sigma_px),
        taken_by,
        photons=np.array([photons]),
        plane=np.zeros(1, int),
        background_photons=background,
    )
    spread = sigma_px**2 + 1 / 12
    tau = 2 * np.pi * spread * (background + taken_by.read_noise_photons**2) / photons
    formula = spread / photons * (1 + 4 * tau + np.sqrt(2 * tau / (1 + 4 * tau)))
    assert bound == pytest.approx(np.sqrt(formula), rel=0.05)  # doi 10.1364/BOE.2.001377
