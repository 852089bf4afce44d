"""Patches, gradients, mixtures and thinned structures hold the molecules that they state."""

from __future__ import annotations

import numpy as np
import pytest

from smlm_training.simulation.mixtures import Mixture, Thinned
from smlm_training.simulation.regions import gradients, patches
from smlm_training.simulation.structures import Uniform

FIELD = {"height_px": 40, "width_px": 52, "border_px": 6.0}
AREA_PX2 = 52 * 64


@pytest.mark.parametrize("ground", [0.0, 0.2])
def test_patches_have_one_density_beside_the_grounds(ground: float) -> None:
    region = patches(
        np.random.default_rng(1),
        size_px=20.0,
        covered_share=0.3,
        ground=ground,
        density_per_px2=0.3,
        **FIELD,
    )
    per_px2 = region.molecules * 16
    assert set(np.unique(per_px2.round(9))) == {0.3, round(0.3 * ground, 9)}
    assert (per_px2 == per_px2.max()).mean() == pytest.approx(0.3, abs=0.001)
    expected = 0.3 * AREA_PX2 * (0.3 + 0.7 * ground)
    assert region.expected_count() == pytest.approx(expected, rel=0.01)


def test_molecules_lie_in_the_patches() -> None:
    region = patches(
        np.random.default_rng(2),
        size_px=15.0,
        covered_share=0.4,
        ground=0.0,
        density_per_px2=0.3,
        **FIELD,
    )
    y_px, x_px = region.sample(np.random.default_rng(3), 50_000)
    counts = np.histogram2d(y_px, x_px, bins=region.molecules.shape, range=[[-6, 46], [-6, 58]])[0]
    covered = region.molecules > 0
    assert not counts[~covered].any()
    assert counts[covered].mean() == pytest.approx(50_000 / covered.sum())
    assert counts[covered].var() == pytest.approx(counts[covered].mean(), rel=0.1)


def test_gradients_fall_smoothly_from_the_density_by_their_contrast() -> None:
    region = gradients(
        np.random.default_rng(4), size_px=30.0, contrast=3.0, density_per_px2=0.3, **FIELD
    )
    per_px2 = region.molecules * 16
    assert per_px2.max() == pytest.approx(0.3)
    assert per_px2.min() == pytest.approx(0.3 * np.exp(-3))
    assert np.abs(np.diff(np.log(per_px2), axis=0)).max() < 0.2


def test_a_mixture_has_the_molecules_of_both_in_any_order() -> None:
    near, far = Uniform(10, 10, 0.3, 0.0), Uniform(100, 100, 0.009, 0.0)
    both = Mixture(near, far)
    assert both.expected_count() == pytest.approx(30 + 90)
    y_px, x_px = both.sample(np.random.default_rng(5), 40_000)
    within = (y_px < 10) & (x_px < 10)
    assert within.mean() == pytest.approx((30 + 0.9) / 120, rel=0.05)
    assert within[:20_000].mean() == pytest.approx(within[20_000:].mean(), rel=0.05)


def test_a_thinned_structure_has_a_share_of_the_molecules_at_the_same_places() -> None:
    structure = Uniform(10, 10, 0.3, 0.0)
    thinned = Thinned(structure, 0.25)
    assert thinned.expected_count() == pytest.approx(7.5)
    places = [each.sample(np.random.default_rng(6), 9) for each in (structure, thinned)]
    np.testing.assert_array_equal(*places)
