"""Rows of one molecule in successive frames become one row, by the stated rule."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.tables import FULL, in_one, random_rows, rows_at
from smlm_pipeline.tables.linking import LinkRule, linked, linked_columns
from smlm_pipeline.tables.rows import Rows

UNCERTAIN = ("frame", "x_nm", "y_nm", "uncertainty_x_nm", "uncertainty_y_nm")


def _linked(rows: Rows, rule: LinkRule, *, block_rows: int = 1000) -> dict[str, list[float]]:
    """Molecules in the order of their frames and places."""
    parts = [rows.take(slice(at, at + block_rows)) for at in range(0, len(rows), block_rows)]
    found = in_one(list(linked(parts, rule)))
    order = np.lexsort([found["x_nm"], found["frame"]])
    return {name: found[name][order].tolist() for name in found.names}


def test_near_rows_of_successive_frames_are_one_molecule() -> None:
    rows = rows_at((0, 100, 50), (1, 110, 50), (2, 105, 50), (2, 300, 50))
    found = _linked(rows, LinkRule(20))
    assert found == {
        "frame": [0, 2],
        "x_nm": [pytest.approx(105), 300],
        "y_nm": [50, 50],
        "detections": [3, 1],
    }


@pytest.mark.parametrize(("dark_frames", "molecules"), [(0, [0, 3]), (1, [0, 3]), (2, [0])])
def test_dark_frames_end_a_molecule(dark_frames: int, molecules: list[int]) -> None:
    rows = rows_at((0, 100, 50), (3, 100, 50))
    assert _linked(rows, LinkRule(20, dark_frames))["frame"] == molecules


def test_the_reach_is_a_circle() -> None:
    inside, outside = (14.1, 14.1), (14.2, 14.2)
    for (x, y), count in ((inside, 1), (outside, 2)):
        rows = rows_at((0, 100, 100), (1, 100 + x, 100 - y))
        assert len(_linked(rows, LinkRule(20))["frame"]) == count


def test_the_nearest_pairs_are_joined_first() -> None:
    """Of two rows near one molecule the nearer one continues it, the other begins one."""
    rows = rows_at((0, 100, 0), (0, 130, 0), (1, 112, 0), (1, 104, 0))
    found = _linked(rows, LinkRule(20))
    assert found["x_nm"] == [102, 121]
    assert found["detections"] == [2, 2]


def test_rows_of_one_frame_are_never_joined() -> None:
    rows = rows_at((0, 100, 0), (0, 101, 0), (1, 100.5, 0))
    assert sorted(_linked(rows, LinkRule(20))["detections"]) == [1, 2]


def test_places_are_weighted_by_their_uncertainties() -> None:
    rows = rows_at((0, 100, 10, 10, 10), (1, 110, 20, 20, 10), names=UNCERTAIN)
    found = _linked(rows, LinkRule(50))
    weights = 1 / np.array([10, 20]) ** 2
    assert found["x_nm"] == [pytest.approx((100 * weights[0] + 110 * weights[1]) / weights.sum())]
    assert found["y_nm"] == [pytest.approx(15)]
    assert found["uncertainty_x_nm"] == [pytest.approx(weights.sum() ** -0.5)]
    assert found["uncertainty_y_nm"] == [pytest.approx(10 / np.sqrt(2))]


def test_a_row_without_an_uncertainty_does_not_spoil_its_molecule() -> None:
    rows = rows_at((0, 100, 10, 10, 10), (1, 110, 20, np.nan, 0), names=UNCERTAIN)
    found = _linked(rows, LinkRule(50))
    assert found["x_nm"] == [pytest.approx(100)]
    assert found["uncertainty_y_nm"] == [pytest.approx(10)]


def test_light_is_added_and_the_rest_averaged() -> None:
    names = ("frame", "x_nm", "y_nm", "{}", "background_{}", "uncertainty_{}", "probability")
    for light, level in (("photons", "photons"), ("intensity_adu", "adu")):
        rows = rows_at(
            (0, 1, 1, 500, 10, 20, 0.6),
            (1, 1, 1, 300, 20, 20, 0.9),
            (2, 1, 1, 100, 30, 10, 0.7),
            names=tuple(name.format(level if "back" in name else light) for name in names),
        )
        found = _linked(rows, LinkRule(50))
        assert found[light] == [900]
        assert found[f"background_{level}"] == [pytest.approx(20)]
        assert found[f"uncertainty_{light}"] == [pytest.approx(30)]
        assert found["probability"] == [0.9]


def test_the_cutting_into_blocks_does_not_matter() -> None:
    rows = random_rows(2000, FULL, seed=2)
    order = np.lexsort([rows["x_nm"], rows["y_nm"], rows["frame"]])
    rows = rows.take(order)
    whole = _linked(rows, LinkRule(80, 1), block_rows=5000)
    assert sum(whole["detections"]) == 2000
    assert max(whole["detections"]) > 1
    for block_rows in (1, 7, 300):
        assert _linked(rows, LinkRule(80, 1), block_rows=block_rows) == whole


def test_it_finds_what_a_search_of_all_pairs_finds() -> None:
    """Molecules of known lengths, far from each other, are put together again."""
    rng = np.random.default_rng(8)
    places = rng.permutation(40 * 30).reshape(-1, 1) // np.array([1, 40]) % np.array([40, 30])
    rows, lengths = [], []
    for x, y in places[:300] * 200:
        start, length = rng.integers(0, 30), rng.integers(1, 6)
        lengths.append(length)
        noise = rng.normal(0, 5, (length, 2))
        rows += [(start + t, x + noise[t, 0] - 4000, y + noise[t, 1]) for t in range(length)]
    rows.sort()
    found = _linked(rows_at(*rows), LinkRule(50))
    assert sorted(found["detections"]) == sorted(lengths)


def test_columns_of_joined_rows() -> None:
    assert linked_columns(UNCERTAIN) == (*UNCERTAIN, "detections")
    found = in_one(list(linked([rows_at((0, 1, 1))], LinkRule(5))))
    assert found.names == linked_columns(("frame", "x_nm", "y_nm"))
