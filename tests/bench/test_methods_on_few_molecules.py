"""CEL0, FALCON and the fit where the answer is known: one molecule, two, none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from smlm_bench.baselines.cel0.method import Cel0
from smlm_bench.baselines.falcon.method import Falcon
from smlm_bench.baselines.single_emitter import SingleEmitter
from smlm_bench.method import FilmFacts, Method
from smlm_pipeline.localise.table import Molecules
from smlm_training.simulation.simulate import Emitters, expected_photons

HEIGHT_PX, WIDTH_PX, PIXEL_NM = 24, 32, 100.0
PHOTONS, BACKGROUND_PHOTONS, GAIN_ADU, OFFSET_ADU = 5000.0, 20.0, 2.0, 100.0

FACTS = FilmFacts(
    shape_px=(HEIGHT_PX, WIDTH_PX),
    pixel_size_nm=PIXEL_NM,
    sigma_px=1.1,
    molecule_photons=PHOTONS,
    adu_per_photon=GAIN_ADU,
    offset_adu=OFFSET_ADU,
    excess_noise=1.0,
    levels_adu=np.array([140, 1000], np.float32),
)

METHODS: dict[str, Callable[[FilmFacts], Method]] = {
    "cel0": Cel0,
    "falcon": Falcon,
    "single-emitter": SingleEmitter,
}
each_method = pytest.mark.parametrize("name", METHODS)


def _frame(places_px: list[tuple[float, float]], seed: int = 3) -> NDArray[np.uint16]:
    """One frame of molecules of 5000 photons at y and x, with shot noise."""
    y_px, x_px = (np.array([place[axis] for place in places_px])[None] for axis in (0, 1))
    photons = np.full(y_px.shape, PHOTONS)
    emitters = Emitters(y_px, x_px, photons, np.full(y_px.shape, FACTS.sigma_px))
    mean = expected_photons(emitters, HEIGHT_PX, WIDTH_PX) + BACKGROUND_PHOTONS
    shot = np.random.default_rng(seed).poisson(mean)
    return (GAIN_ADU * shot + OFFSET_ADU).astype(np.uint16)


def _places_nm(found: Molecules | None) -> NDArray[np.float64]:
    """Positions (K, 2), from left to right."""
    assert found is not None
    order = np.argsort(found.x_nm)
    return np.column_stack([found.y_nm, found.x_nm])[order]


@each_method
@pytest.mark.parametrize("place_px", [(12.3, 15.61), (9.81, 20.07)])
def test_one_molecule_is_found_within_5_nm(name: str, place_px: tuple[float, float]) -> None:
    found = METHODS[name](FACTS).reconstruct(_frame([place_px]))
    (place_nm,) = _places_nm(found.molecules)
    assert np.abs(place_nm - PIXEL_NM * np.array(place_px)).max() < 5.0


@each_method
def test_the_picture_shows_it_there_too(name: str) -> None:
    image = METHODS[name](FACTS).reconstruct(_frame([(12.3, 15.61)])).image
    assert image.shape == (8 * HEIGHT_PX, 8 * WIDTH_PX)
    row, column = np.nonzero(image)
    weights = image[row, column]
    centre_px = [np.average(places + 0.5, weights=weights) / 8 for places in (row, column)]
    np.testing.assert_allclose(centre_px, (12.3, 15.61), atol=0.08)


@pytest.mark.parametrize("name", ["cel0", "falcon"])
def test_two_at_150_nm_are_separated(name: str) -> None:
    truth_px = np.array([(12.3, 15.2), (12.3, 16.7)])
    places_nm = _places_nm(
        METHODS[name](FACTS).reconstruct(_frame(list(map(tuple, truth_px)))).molecules
    )
    near = places_nm[np.abs(places_nm - 100 * truth_px.mean(axis=0)).max(axis=1) < 150]
    assert len(near) >= 2
    assert np.abs(near[[0, -1]] - 100 * truth_px).max() < 50
    assert near[-1, 1] - near[0, 1] > 75


def test_the_fit_takes_two_at_150_nm_for_one_and_separates_them_at_800() -> None:
    """What single-emitter fitting cannot do: at 400 nm its window still holds both."""
    fit = SingleEmitter(FACTS)
    assert len(_places_nm(fit.reconstruct(_frame([(12.3, 15.2), (12.3, 16.7)])).molecules)) <= 1
    places_nm = _places_nm(fit.reconstruct(_frame([(12.3, 11.2), (12.3, 19.2)])).molecules)
    np.testing.assert_allclose(places_nm, [(1230, 1120), (1230, 1920)], atol=10)


@each_method
def test_an_empty_frame_gives_nothing(name: str) -> None:
    found = METHODS[name](FACTS).reconstruct(_frame([]))
    assert found.molecules is not None
    assert len(found.molecules.frame) == 0
    assert not found.image.any()


@each_method
def test_frames_keep_their_numbers(name: str) -> None:
    frames = np.concatenate([_frame([(12.3, 15.6)]), _frame([]), _frame([(8.2, 9.4)])])
    found = METHODS[name](FACTS).reconstruct(frames).molecules
    assert found is not None
    assert found.frame.tolist() == [0, 2]
    np.testing.assert_allclose(found.y_nm, [1230, 820], atol=8)


@pytest.mark.parametrize("name", ["cel0", "falcon"])
@pytest.mark.parametrize("place_px", [(12.3, 0.6), (23.5, 15.6)])
def test_light_at_an_edge_is_not_looked_for_at_the_opposite_one(
    name: str, place_px: tuple[float, float]
) -> None:
    image = METHODS[name](FACTS).reconstruct(_frame([place_px])).image
    row, column = np.nonzero(image)
    away_px = np.hypot((row + 0.5) / 8 - place_px[0], (column + 0.5) / 8 - place_px[1])
    assert away_px.max() < 4
    assert away_px[np.argmax(image[row, column])] < 0.6
