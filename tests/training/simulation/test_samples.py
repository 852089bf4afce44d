"""Samples in nm and um: what a field of them holds, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.bundles import bundled_filaments
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.groups import Rings, Spots
from smlm_training.simulation.samples import (
    AnySample,
    Field,
    FilamentSample,
    RingSample,
    SpotSample,
    UniformSample,
)
from smlm_training.simulation.simulate import shine
from smlm_training.simulation.structures import Filaments

FIELD = Field(64, 48, 100.0, 6.0)
AREA_UM2 = 6.4 * 4.8


def _filaments(sample: FilamentSample, seed: int, field: Field = FIELD) -> Filaments:
    structure = sample.structure(np.random.default_rng(seed), field)
    assert isinstance(structure, Filaments)
    return structure


@pytest.mark.parametrize("kind", [UniformSample, FilamentSample, RingSample, SpotSample])
@pytest.mark.parametrize("density_per_um2", [0.5, 12.0])
def test_field_holds_the_density_asked_for(kind: type[AnySample], density_per_um2: float) -> None:
    """Groups cut by the field's edge take and give some; hence the 6 %."""
    more: dict[str, Any] = {"density_per_um": None} if kind is FilamentSample else {}
    rng = np.random.default_rng(1)
    structure = kind(density_per_um2=density_per_um2, **more).structure(rng, FIELD)
    emitters = shine(rng, structure, Fluorophore(1000, 0.2, 1.1), 200)
    count = emitters.inside(64, 48).sum() / 200
    assert count / AREA_UM2 == pytest.approx(density_per_um2, rel=0.06)


def test_pixel_size_scales_all_lengths() -> None:
    fine = Field(128, 96, 50.0, 12.0)
    rings = RingSample(radius_nm=60, thickness_nm=5).structure(np.random.default_rng(1), fine)
    assert isinstance(rings, Rings)
    assert (rings.radius_px, rings.thickness_px) == pytest.approx((1.2, 0.1))
    spots = SpotSample(sigma_nm=60).structure(np.random.default_rng(1), fine)
    assert isinstance(spots, Spots)
    assert spots.sigma_px == pytest.approx(1.2)
    lines = _filaments(FilamentSample(radius_nm=5), 1, fine)
    assert lines.radius_px == pytest.approx(0.1)
    assert lines.density_per_px == pytest.approx(3.5 * 0.05)


def test_rings_do_not_overlap() -> None:
    rings = RingSample(radius_nm=60, thickness_nm=5).structure(np.random.default_rng(2), FIELD)
    assert isinstance(rings, Rings)
    steps = rings.centres_px[:, None] - rings.centres_px
    distance_px = np.hypot(*np.moveaxis(steps, 2, 0)) + 100 * np.eye(len(rings.centres_px))
    assert distance_px.min() > 2 * 0.7
    expected = 4 * 7.6 * 6.0  # a um2, of the field with its border
    assert len(rings.centres_px) == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_density_of_filaments_by_length_is_the_middle_of_its_bounds() -> None:
    lines = _filaments(FilamentSample(density_per_um=(2.0, 4.0)), 3)
    assert lines.density_per_px == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(4))
def test_lines_are_drawn_until_both_densities_fit(seed: int) -> None:
    sample = FilamentSample(density_per_um2=5.8, density_per_um=(3.3, 3.7))
    lines = _filaments(sample, seed)
    assert 0.33 <= lines.density_per_px <= 0.37
    count = lines.density_per_px * lines.length_within_px(64, 48)
    assert count == pytest.approx(5.8 * AREA_UM2)


def test_densities_that_cannot_both_be_had_end_at_the_nearest_bound() -> None:
    small = Field(16, 16, 100.0, 6.0)
    too_much = FilamentSample(density_per_um2=50.0, density_per_um=(3.0, 4.0))
    assert _filaments(too_much, 1, small).density_per_px == pytest.approx(0.4)
    too_little = FilamentSample(density_per_um2=0.0, density_per_um=(3.0, 4.0))
    assert _filaments(too_little, 1, small).density_per_px == pytest.approx(0.3)


def test_lines_that_all_pass_by_the_field_hold_nothing() -> None:
    far = FilamentSample(density_per_um2=3.0, density_per_um=None, spacing_nm=(9e4, 9e4))
    structure = far.structure(np.random.default_rng(1), Field(16, 16, 100.0, 0.0))
    assert structure.expected_count() == 0


def test_lines_of_a_bundle_keep_their_distance() -> None:
    """One bundle across the field: neighbours are 3 to 5 pixels apart, give or take a sway."""
    lines = bundled_filaments(
        np.random.default_rng(4),
        height_px=64,
        width_px=64,
        spacing_px=(3.0, 5.0),
        lines_per_bundle=(100, 100),
        gap_px=(8.0, 15.0),
        crossing_share=0.0,
        density_per_px=0.35,
        radius_px=0.0,
        border_px=0.0,
    )
    ends = np.flatnonzero(np.hypot(*np.diff(lines.points_px, axis=0).T) > 0.5)
    each = [part for part in np.split(lines.points_px, ends + 1) if len(part) > 300]
    assert len(each) > 8
    for one, next_to_it in itertools.pairwise(each):
        steps = one[::20, None] - next_to_it
        nearest = np.hypot(*np.moveaxis(steps, 2, 0)).min(axis=1)
        assert 2.0 < np.median(nearest) < 6.0


def test_bundles_leave_gaps() -> None:
    """2 to 4 lines 4 pixels apart, then 11.5: 3 lines in 19.5 pixels instead of 4."""
    lengths_px = []
    for seed in range(40):
        lines = bundled_filaments(
            np.random.default_rng(seed),
            height_px=64,
            width_px=64,
            spacing_px=(3.0, 5.0),
            lines_per_bundle=(2, 4),
            gap_px=(8.0, 15.0),
            crossing_share=0.0,
            density_per_px=0.35,
            radius_px=0.0,
            border_px=0.0,
        )
        lengths_px.append(lines.length_within_px(64, 64))
    assert np.mean(lengths_px) == pytest.approx(64 * 64 * 3 / 19.5, rel=0.08)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (UniformSample, {"density_per_um2": -1.0}, "density per um2 is -1.0; .* from 0 to 100"),
        (UniformSample, {"density_per_um2": float("nan")}, "density per um2 is nan"),
        (RingSample, {"density_per_um2": 1e3}, "density per um2 is 1000.0"),
        (RingSample, {"radius_nm": -5.0}, "ring radius in nm is -5.0"),
        (RingSample, {"sites": 2.5}, "sites of a ring is 2.5; expected a whole number from 0"),
        (RingSample, {"thickness_nm": None}, "ring thickness in nm is None"),
        (RingSample, {"rings_per_um2": 0.0}, "rings per um2 is 0.0"),
        (SpotSample, {"sigma_nm": -1.0}, "sigma of a clump in nm is -1.0"),
        (SpotSample, {"spots_per_um2": "many"}, "spots per um2 is 'many'"),
        (FilamentSample, {"density_per_um": None}, "filaments need a density"),
        (FilamentSample, {"density_per_um": (4.0, 3.0)}, "is 4 to 3; expected the smaller first"),
        (FilamentSample, {"spacing_nm": 300.0}, "filament spacing in nm is 300.0; .* smallest"),
        (FilamentSample, {"gap_nm": (0.0, 1.0)}, "gap between bundles in nm, smallest, is 0.0"),
        (FilamentSample, {"lines_per_bundle": (0, 3)}, "lines per bundle, smallest, is 0"),
        (FilamentSample, {"lines_per_bundle": (1.5, 3)}, "lines per bundle is 1.5; .* whole"),
        (FilamentSample, {"crossing_share": 1.5}, "share of crossing filaments is 1.5"),
        (FilamentSample, {"radius_nm": -1.0}, "filament radius in nm is -1.0"),
    ],
)
def test_what_makes_no_sample_is_refused(
    kind: type[AnySample], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        kind(**settings)
