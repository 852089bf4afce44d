"""Pairing and scores of molecules, against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.table import Molecules, in_field
from smlm_training.scoring.detection_scores import detection_score
from smlm_training.scoring.pairing import pair


def _molecules(*rows: tuple[int, float, float]) -> Molecules:
    frame, y_nm, x_nm = np.array(rows, np.float64).reshape(-1, 3).T
    return Molecules(frame.astype(np.int64), y_nm, x_nm)


def _pairs(found: Molecules, true: Molecules, tolerance_nm: float = 250) -> set[tuple[int, int]]:
    pairs = pair(found, true, tolerance_nm=tolerance_nm)
    return set(zip(pairs.found.tolist(), pairs.true.tolist(), strict=True))


def test_the_nearest_pair_goes_first_though_the_total_is_larger() -> None:
    """On a line: true at 0 and 100, found at 90 and 190. Greedy: 90-100, then 190-0."""
    true = _molecules((0, 0, 0), (0, 0, 100))
    found = _molecules((0, 0, 90), (0, 0, 190))
    assert _pairs(found, true) == {(0, 1), (1, 0)}
    pairs = pair(found, true, tolerance_nm=250)
    assert sorted(pairs.distance_nm.tolist()) == [10, 190]


def test_what_loses_its_partner_takes_the_next_in_reach() -> None:
    """Found 0 is nearest to true 0, which found 1 takes; then it takes true 1 or none."""
    true = _molecules((0, 0, 0), (0, 0, 300))
    found = _molecules((0, 0, 100), (0, 0, -50))
    assert _pairs(found, true) == {(1, 0), (0, 1)}
    assert _pairs(found, true, tolerance_nm=199) == {(1, 0)}


def test_of_equal_distances_the_lower_index_wins() -> None:
    true = _molecules((0, 0, 0))
    assert _pairs(_molecules((0, 50, 0), (0, -50, 0), (0, 0, 50)), true) == {(0, 0)}
    both = _molecules((0, 0, -50), (0, 0, 50))
    assert _pairs(_molecules((0, 0, 0)), both) == {(0, 0)}


def test_the_tolerance_itself_still_counts() -> None:
    true = _molecules((0, 0, 0))
    found = _molecules((0, 150, 200))  # 250 nm away
    assert _pairs(found, true) == {(0, 0)}
    assert _pairs(found, true, tolerance_nm=249.999) == set()


def test_frames_do_not_mix() -> None:
    true = _molecules((0, 0, 0), (2, 500, 500))
    found = _molecules((1, 0, 0), (2, 510, 500), (3, 500, 500))
    assert _pairs(found, true) == {(1, 1)}


def test_pairs_are_those_of_the_challenge_step_by_step() -> None:
    """Its loop, taken literally on a crowd: smallest of all distances, rows and columns out."""
    rng = np.random.default_rng(5)
    rows = [(int(frame), *place) for frame in range(3) for place in rng.uniform(0, 900, (40, 2))]
    true = _molecules(*rows)
    places = rng.uniform(0, 900, (90, 2))
    found = _molecules(*((int(index) % 3, *place) for index, place in enumerate(places)))
    distance = np.hypot(found.y_nm[:, None] - true.y_nm, found.x_nm[:, None] - true.x_nm)
    distance[found.frame[:, None] != true.frame] = np.inf
    expected = set()
    while distance.min() <= 250:
        i, j = (int(index) for index in np.unravel_index(distance.argmin(), distance.shape))
        expected.add((i, j))
        distance[i], distance[:, j] = np.inf, np.inf
    assert _pairs(found, true) == expected
    assert len(expected) > 80


def test_scores_by_hand() -> None:
    """Three true, four found, two pairs, 30 and 40 nm off."""
    true = _molecules((0, 0, 0), (0, 1000, 1000), (1, 0, 0))
    found = _molecules((0, 0, 30), (0, 1040, 1000), (0, 3000, 0), (1, 900, 0))
    score = detection_score(found, true)
    assert (score.pairs, score.found, score.true) == (2, 4, 3)
    assert score.jaccard == pytest.approx(2 / 5)
    assert score.precision == pytest.approx(2 / 4)
    assert score.recall == pytest.approx(2 / 3)
    assert score.f1 == pytest.approx(4 / 7)
    assert score.rmse_nm == pytest.approx(np.sqrt((900 + 1600) / 2))
    assert score.efficiency_percent == pytest.approx(100 - np.hypot(60, score.rmse_nm))


def test_tolerance_changes_what_counts() -> None:
    true, found = _molecules((0, 0, 0)), _molecules((0, 0, 100))
    assert detection_score(found, true, tolerance_nm=100).jaccard == 1
    assert detection_score(found, true, tolerance_nm=99).jaccard == 0


@pytest.mark.parametrize(("found", "true"), [(0, 2), (2, 0), (0, 0)])
def test_nothing_found_or_nothing_true(found: int, true: int) -> None:
    rows = [(0, 0.0, 100.0 * index) for index in range(2)]
    score = detection_score(_molecules(*rows[:found]), _molecules(*rows[:true]))
    assert (score.pairs, score.found, score.true) == (0, found, true)
    assert math.isnan(score.rmse_nm)
    assert score.jaccard == 0 if found or true else math.isnan(score.jaccard)
    assert score.precision == 0 if found else math.isnan(score.precision)
    assert score.recall == 0 if true else math.isnan(score.recall)
    assert math.isnan(score.efficiency_percent)


@pytest.mark.parametrize("tolerance_nm", [0.0, -1.0, float("inf"), float("nan")])
def test_tolerance_is_a_distance(tolerance_nm: float) -> None:
    with pytest.raises(SettingError, match=r"tolerance is .* nm; expected a positive distance"):
        detection_score(_molecules((0, 0, 0)), _molecules((0, 0, 0)), tolerance_nm)


def test_the_field_and_its_border() -> None:
    rows = [(0, 0.0, 0.0), (0, 450.0, 500.0), (0, 449.0, 500.0), (0, 500.0, 1551.0), (0, 1e3, 500)]
    points = _molecules(*rows, (0, -1.0, 5.0))
    inside = in_field(points, height_nm=1000, width_nm=2000)
    assert inside.tolist() == [True, True, True, True, False, False]
    border = in_field(points, height_nm=1000, width_nm=2000, border_nm=450)
    assert border.tolist() == [False, True, False, False, False, False]
    assert points.take(border).y_nm.tolist() == [450]
