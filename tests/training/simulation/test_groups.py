"""Rings and spots: where their molecules sit, and how far the groups keep apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from smlm_training.simulation.groups import Rings, Spots, scattered_centres

CENTRES = np.array([[10.0, 20.0], [40.0, 15.0]])
COUNT = 20_000


def _rings(*, sites: int, thickness_px: float) -> Rings:
    return Rings(CENTRES, np.array([0.0, 0.3]), 3.0, sites, thickness_px, 5.0)


def test_ring_molecules_lie_at_the_sites() -> None:
    y_px, x_px = _rings(sites=4, thickness_px=0.0).sample(np.random.default_rng(1), COUNT)
    first = y_px < 25  # that ring is not turned
    assert first.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(COUNT))
    places = {(round(y, 9), round(x, 9)) for y, x in zip(y_px[first], x_px[first], strict=True)}
    assert places == {(10.0, 23.0), (13.0, 20.0), (10.0, 17.0), (7.0, 20.0)}
    second = np.hypot(y_px[~first] - 40, x_px[~first] - 15)
    np.testing.assert_allclose(second, 3.0)


def test_ring_without_sites_is_even_along_the_circle() -> None:
    y_px, x_px = _rings(sites=0, thickness_px=0.0).sample(np.random.default_rng(2), COUNT)
    first = y_px < 25
    angle = np.arctan2(y_px[first] - 10, x_px[first] - 20)
    counts, _ = np.histogram(angle, bins=10, range=(-np.pi, np.pi))
    np.testing.assert_allclose(counts, first.sum() / 10, rtol=4 / np.sqrt(COUNT / 20))


def test_ring_thickness_spreads_molecules_about_their_sites() -> None:
    y_px, x_px = _rings(sites=1, thickness_px=0.2).sample(np.random.default_rng(3), COUNT)
    first = y_px < 25
    for values, mean in ((y_px[first], 10.0), (x_px[first], 23.0)):
        assert values.mean() == pytest.approx(mean, abs=4 * 0.2 / np.sqrt(COUNT / 2))
        assert values.std() == pytest.approx(0.2, rel=4 / np.sqrt(COUNT))


def test_spots_are_gaussian_about_their_centres() -> None:
    y_px, x_px = Spots(CENTRES, 1.5, 5.0).sample(np.random.default_rng(4), COUNT)
    first = y_px < 25
    off = np.hypot(y_px[first] - 10, x_px[first] - 20)
    assert np.mean(off**2) == pytest.approx(2 * 1.5**2, rel=4 / np.sqrt(COUNT / 2))
    assert np.mean(off < 1.5) == pytest.approx(1 - np.exp(-0.5), abs=0.02)  # Rayleigh


@pytest.mark.parametrize(
    "structure",
    [_rings(sites=8, thickness_px=0.1), Spots(CENTRES, 1.0, 5.0)],
    ids=["rings", "spots"],
)
def test_groups_expect_what_each_of_them_holds(structure: Rings | Spots) -> None:
    assert structure.expected_count() == 10.0
    y_px, x_px = structure.sample(np.random.default_rng(0), 0)
    assert (y_px.shape, x_px.shape) == ((0,), (0,))


@pytest.mark.parametrize("distance_px", [0.0, 1.3, 2.0])
def test_centres_keep_apart_and_reach_their_density(distance_px: float) -> None:
    found = [
        scattered_centres(
            np.random.default_rng(seed),
            height_px=60,
            width_px=90,
            border_px=5.0,
            centres_per_px2=0.04,
            distance_px=distance_px,
        )
        for seed in range(20)
    ]
    expected = 0.04 * 70 * 100
    mean = np.mean([len(centres) for centres in found])
    assert mean == pytest.approx(expected, abs=4 * np.sqrt(expected / 20) + 0.02 * expected)
    for centres in found:
        assert pdist(centres).min() > distance_px
        assert (centres.min(axis=0) >= -5).all()
        assert (centres.max(axis=0) <= [65, 95]).all()


def test_centres_too_dense_for_their_distance_are_as_dense_as_can_be() -> None:
    centres = scattered_centres(
        np.random.default_rng(1),
        height_px=50,
        width_px=50,
        border_px=0.0,
        centres_per_px2=10.0,
        distance_px=2.0,
    )
    assert len(centres) == pytest.approx(0.95 * 2500 / (np.pi * 4), rel=0.15)


def test_there_is_always_a_centre() -> None:
    centres = scattered_centres(
        np.random.default_rng(1),
        height_px=16,
        width_px=16,
        border_px=6.0,
        centres_per_px2=1e-9,
        distance_px=1.0,
    )
    assert centres.shape == (1, 2)
