"""The compiled loops give the bits of the rule that they follow, and run without a cache."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest

from smlm_pipeline.localise.merging import (
    ONE_MOLECULE_MAX,
    REACH_PX,
    SURPLUS_REACH_PX,
    Places,
    merge,
    share_surplus,
)


def _places(seed: int, count: int) -> Places:
    rng = np.random.default_rng(seed)
    return Places(
        rng.integers(0, 3, count),
        rng.uniform(0.01, 1, count) ** 2,
        rng.uniform(-0.9, 9, (2, count)),
        rng.uniform(0.01, 0.2, (2, count)),
        rng.uniform(5, 15, count),
        rng.uniform(1, 4, count),
    )


def _merged(places: Places) -> Places:
    """The rule, pair by pair over all places."""
    p = places.probability.tolist()
    means = [list(each) for each in (*places.mean_px, places.intensity)]
    variances = [list(each) for each in (*places.variance_px2, places.intensity_variance)]
    frames = places.frame
    pairs = {
        pair for pair in itertools.combinations(range(len(p)), 2) if len({*frames[[*pair]]}) == 1
    }
    while True:
        apart2 = {}
        for a, b in sorted(pairs):
            y, x = (means[axis][a] - means[axis][b] for axis in range(2))
            if p[a] + p[b] <= ONE_MOLECULE_MAX and y * y + x * x <= REACH_PX**2:
                apart2[a, b] = y * y + x * x
        pairs = {*apart2}  # what is too far apart now does not count later
        nearest = {
            (a, b)
            for a, b in apart2
            if all(apart2[a, b] <= apart2[pair] for pair in apart2 if {a, b} & {*pair})
        }
        if not nearest:
            break
        for a, b in nearest:
            share = p[b] / (p[a] + p[b])
            for mean, variance in zip(means, variances, strict=True):
                apart = mean[b] - mean[a]
                variance[a] += share * (variance[b] - variance[a])
                variance[a] += share * (1 - share) * (apart * apart)
                mean[a] += share * apart
            p[a], p[b] = p[a] + p[b], 0.0
            merged = [sorted(a if end == b else end for end in pair) for pair in pairs]
            pairs = {(c, d) for c, d in merged if c != d}
    left = np.array(p) > 0
    (y, x, light), (vy, vx, vi) = np.array(means)[:, left], np.array(variances)[:, left]
    place = np.stack([y, x]), np.stack([vy, vx])
    return Places(places.frame[left], np.array(p)[left], *place, light, vi)


@pytest.mark.parametrize(("seed", "count"), [(2, 120), (11, 120), (18, 120), (3, 1)])
def test_merging_is_the_rule_to_the_last_bit(seed: int, count: int) -> None:
    places = _places(seed, count)
    found, expected = merge(places), _merged(places)
    assert count == 1 or len(found.frame) < count
    for column in fields(Places):
        np.testing.assert_array_equal(getattr(found, column.name), getattr(expected, column.name))


def test_a_surplus_goes_to_the_nearest_four() -> None:
    places = _places(4, 150)
    places.probability[::5] = 1.6
    found = share_surplus(places)
    expected = places.probability.tolist()
    y, x = places.mean_px
    for place in range(len(expected)):
        if expected[place] <= 1:
            continue
        apart2 = (y - y[place]) ** 2 + (x - x[place]) ** 2
        apart2[places.frame != places.frame[place]] = np.inf
        apart2[place] = np.inf
        for neighbour in np.argsort(apart2, kind="stable")[:4]:
            if apart2[neighbour] < SURPLUS_REACH_PX**2:
                given = min(expected[place] - 1, max(1 - expected[neighbour], 0.0))
                expected[place] -= given
                expected[neighbour] += given
    np.testing.assert_array_equal(found.probability, expected)
    assert (found.probability != places.probability).sum() > 20
