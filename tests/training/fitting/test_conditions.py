"""Conditions of training films are within their ranges, as often as is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes.training_ranges import only
from smlm_pipeline.errors import SettingError
from smlm_training.fitting.conditions import (
    BRIGHTEST_ADU,
    random_background,
    random_camera,
    random_fluorophore,
)
from smlm_training.fitting.datasets import random_film
from smlm_training.fitting.ranges import STRUCTURES, Ranges
from smlm_training.fitting.structures import random_structure
from smlm_training.simulation.camera import Scmos
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.mixtures import Mixture, Thinned
from smlm_training.simulation.spot_shape import ROUND

RANGES = Ranges()


@pytest.mark.parametrize("kind", STRUCTURES)
def test_films_of_each_kind_have_molecules_in_and_around_the_patch(kind: str) -> None:
    ranges = replace(only(kind, RANGES), empty_share=0.0)
    patch_px, border_px = ranges.patch_px, 6.0
    counts = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        structure = random_structure(rng, ranges, border_px)
        y_px, x_px = places = structure.sample(rng, 300)
        counts.append(structure.expected_count())
        for along_px in places:
            assert np.mean(np.abs(along_px / patch_px - 0.5) < 0.5 + 8 / patch_px) > 0.7
        assert len(set(zip(y_px.tolist(), x_px.tolist(), strict=True))) == 300
    assert np.mean(counts) > 5
    film = random_film(np.random.default_rng(1), ranges)
    assert film.film.frames_adu.std() > 0


def test_shares_decide_how_often_structures_are_mixed_and_thinned() -> None:
    crowded = replace(
        only("uniform", RANGES), density_per_um2=(25.0, 30.0), mixture_share=0.5, empty_share=0.0
    )
    made = [random_structure(np.random.default_rng(seed), crowded, 6.0) for seed in range(60)]
    thinned = [each for each in made if isinstance(each, Thinned)]
    assert len(thinned) == 60
    mixed = [isinstance(each.structure, Mixture) for each in thinned]
    assert np.mean(mixed) == pytest.approx(0.5, abs=0.2)


def test_ranges_without_any_structure_are_refused() -> None:
    shares = {f"{kind}_share": 0.0 for kind in STRUCTURES}
    with pytest.raises(SettingError, match=r"no structure with a share; .*ranges.filament_share"):
        replace(RANGES, **shares)  # type: ignore[arg-type]


def test_molecules_have_the_brightness_and_the_spots_of_their_ranges() -> None:
    drawn = [random_fluorophore(np.random.default_rng(seed), RANGES) for seed in range(400)]
    for name, bounds in (("photons", RANGES.photons), ("sigma_px", RANGES.sigma_px)):
        values = [getattr(each, name) for each in drawn]
        assert bounds[0] <= min(values) < 1.2 * bounds[0]
        assert 0.8 * bounds[1] < max(values) <= bounds[1]
    shapes = [each.shape for each in drawn]
    for share, chosen in (
        (RANGES.lognormal_share, [each.photons_distribution == "lognormal" for each in drawn]),
        (RANGES.blinking_share, [each.on_frames > 0 for each in drawn]),
        (RANGES.elliptic_share, [shape.ratio != 1 for shape in shapes]),
        (RANGES.deep_share, [shape.depth > 0 for shape in shapes]),
        (RANGES.halo_share, [shape.halo_share > 0 for shape in shapes]),
    ):
        assert np.mean(chosen) == pytest.approx(share, abs=0.08)
    ratios = [shape.ratio for shape in shapes]
    assert 0.67 <= min(ratios) < 0.72
    assert 1.4 < max(ratios) <= 1.5
    none = {"elliptic_share": 0.0, "deep_share": 0.0, "halo_share": 0.0, "blinking_share": 0.0}
    plain = random_fluorophore(np.random.default_rng(1), replace(RANGES, **none))  # type: ignore[arg-type]
    assert (plain.shape, plain.on_frames) == (ROUND, 0)


def test_backgrounds_do_not_hide_the_molecules() -> None:
    """200 photons in a spot of 12.6 px2 are three times the shot noise of 354 photons."""
    bright = replace(RANGES, background_photons=(600.0, 600.0))
    dim, strong = Fluorophore(200, 0, 1.0), Fluorophore(5_000, 0, 1.0)
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    flat = [random_background(rng, bright, dim) for rng in rngs]
    assert min(float(each.max()) for each in flat) == pytest.approx(200**2 / 9 / (4 * np.pi))
    full = [random_background(rng, bright, strong) for rng in rngs]
    assert min(float(each.max()) for each in full) == pytest.approx(600)


def test_gains_do_not_saturate_the_camera() -> None:
    for seed in range(30):
        camera = random_camera(np.random.default_rng(seed), RANGES, 20_000.0)
        assert np.mean(camera.adu_per_photon) * 20_000 < 1.02 * BRIGHTEST_ADU
    usual = replace(RANGES, emccd_share=0.0, scmos_adu_per_photon=(2.0, 2.0))
    camera = random_camera(np.random.default_rng(1), usual, 500.0)
    assert isinstance(camera, Scmos)
    assert np.mean(camera.adu_per_photon) == pytest.approx(2, rel=0.01)


def test_faint_parts_of_blinks_shine_but_are_not_to_be_found() -> None:
    ranges = replace(
        only("uniform", RANGES),
        density_per_um2=(3.0, 3.0),
        blinking_share=1.0,
        on_frames=(0.5, 0.5),
        empty_share=0.0,
        outside_share=0.0,
    )
    film = random_film(np.random.default_rng(2), ranges)
    _, _, present, intensity = film.parts(ranges.patch_px, ranges.emitters_max)
    photons = film.film.emitters.photons[film.film.emitters.inside(48, 48)]
    faint = photons < film.faintest_photons
    assert 0.05 < faint.mean() < 0.4
    assert present.sum() == (~faint).sum()
    scale_adu = film.conditioning.segments[0].scale_adu
    least = film.faintest_photons * film.adu_per_photon / scale_adu
    assert intensity[present > 0].min() == pytest.approx(least, rel=0.3)
    assert intensity[present > 0].sum() == pytest.approx(
        photons[~faint].sum() * film.adu_per_photon / scale_adu, rel=1e-4
    )


def test_scales_are_misjudged_in_a_share_of_films() -> None:
    plain = replace(RANGES, misjudged_share=0.0, scale_error=0.0)
    off = replace(plain, misjudged_share=1.0, misjudged_scale=(0.5, 0.5))
    for seed in range(6):
        scales = [
            random_film(np.random.default_rng(seed), ranges).conditioning.segments[0].scale_adu
            for ranges in (plain, off)
        ]
        assert scales[1] == pytest.approx(0.5 * scales[0])


def test_shapes_of_spots_are_stated_in_full() -> None:
    """Ranges of one value give that shape, in all films."""
    one = replace(
        RANGES,
        elliptic_share=1.0,
        spot_ratio=(1.3, 1.3),
        deep_share=1.0,
        depth=(0.5, 0.5),
        astigmatism=(0.2, 0.2),
        halo_share=1.0,
        halo_light=(0.1, 0.1),
        halo_width=(3.0, 3.0),
    )
    for seed in range(20):
        shape = random_fluorophore(np.random.default_rng(seed), one).shape
        assert tuple(vars(shape).values()) == pytest.approx((1.3, 0.2, 0.5, 0.1, 3.0))
