"""Presets: films that stay what they were, and hold what their names say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smlm_training.simulation.presets import PRESETS, preset_film
from smlm_training.simulation.samples import FilamentSample
from smlm_training.simulation.simulate import shine
from smlm_training.simulation.structures import Filaments

SEEDS = range(12)


def _lines(name: str, seed: int) -> Filaments:
    scene = replace(PRESETS[name], seed=seed)
    structure = scene.sample.structure(np.random.default_rng(seed), scene.field)
    assert isinstance(structure, Filaments)
    return structure


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


def test_films_that_scores_were_published_on_stay_as_they_were() -> None:
    """Their molecules and their light, as of version 0.1.0."""
    film = preset_film("microtubules", seed=1, frames=20, height_px=64, width_px=64)
    assert film.emitters.inside(64, 64).sum() == 4_988
    assert film.frames_adu.sum(dtype=np.int64) == 26_431_850


@pytest.mark.parametrize("density_per_um2", [1, 3, 6, 9])
@pytest.mark.parametrize("kind", ["uniform", "filaments"])
def test_presets_have_the_density_of_their_name(kind: str, density_per_um2: int) -> None:
    name = f"{kind}-{density_per_um2}"
    made = preset_film(name, seed=1, frames=100, height_px=32, width_px=64)
    expected = density_per_um2 * 3.2 * 6.4 * 100
    noise = 4 * np.sqrt(expected) + 0.02 * expected * (kind == "filaments")
    assert made.emitters.inside(32, 64).sum() == pytest.approx(expected, abs=noise)


def test_evaluate_has_what_the_issue_asks_for() -> None:
    scene = PRESETS["evaluate"]
    assert (scene.frames, scene.height_px, scene.width_px) == (361, 64, 64)
    assert (scene.pixel_size_nm, scene.background_photons) == (100.0, 20.0)
    assert (scene.fluorophore.photons, scene.fluorophore.photons_spread) == (1500, 0.2)
    assert scene.fluorophore.sigma_px * scene.pixel_size_nm == pytest.approx(110)
    assert scene.seed not in {PRESETS[name].seed for name in PRESETS if name != "evaluate"}
    assert isinstance(scene.sample, FilamentSample)
    assert scene.sample.spacing_nm == (300.0, 500.0)
    assert scene.sample.crossing_share > 0


def test_evaluate_holds_225_molecules_a_frame() -> None:
    scene = PRESETS["evaluate"]
    counts = []
    for seed in SEEDS:
        lines = _lines("evaluate", seed)
        emitters = shine(np.random.default_rng(seed), lines, scene.fluorophore, 100)
        counts.append(emitters.inside(64, 64).sum() / 100)
        assert 3.0 <= lines.density_per_px * 10 <= 4.0
    assert np.mean(counts) == pytest.approx(225, abs=3)
    assert max(abs(np.array(counts) - 225)) < 15


def test_filaments_get_their_density_along_the_line() -> None:
    """Lines 600 nm apart: 1.6 um of line a um2, so 0.6 a um for each molecule a um2."""
    for density_per_um2 in (1, 3, 6, 9):
        along = [_lines(f"filaments-{density_per_um2}", seed).density_per_px for seed in SEEDS]
        assert np.mean(along) * 10 == pytest.approx(0.61 * density_per_um2, rel=0.1)
