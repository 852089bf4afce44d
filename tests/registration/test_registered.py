"""An image that is moved by a map keeps its sum and arrives where the map says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.registration import registered
from smlm_pipeline.registration.affine import Affine, fitted, moved_by
from smlm_pipeline.registration.registered import Registered

SR_NM = 12.5


def _spots() -> NDArray[np.float32]:
    y, x = np.mgrid[:120, :150]
    places = [(40, 50), (60, 100), (85, 70)]
    spots = [np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / 18) for at_y, at_x in places]
    return np.asarray(np.sum(spots, axis=0), np.float32)


def test_whole_pixels_move_to_the_last_bit() -> None:
    image = np.random.default_rng(1).random((40, 50)).astype(np.float32)
    moved = Registered(image, moved_by(np.array([3, -2]) * SR_NM), SR_NM)
    assert moved.shape == (40, 50)
    np.testing.assert_array_equal(moved[:][:37, 2:], image[3:, :48])
    assert not moved[37:].any()
    assert not moved[:][:, :2].any()


@pytest.mark.parametrize("rows", [1, 7, 120])
def test_rows_do_not_depend_on_how_they_are_read(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    affine = Affine(np.array([[1.01, 0.02], [-0.02, 0.99]]), np.array([5.0, -8.0]))
    moved = Registered(_spots(), affine, SR_NM)
    whole = moved[:]
    monkeypatch.setattr(registered, "_PART_PIXELS", 1000)
    parts = [moved[first : first + rows] for first in range(0, 120, rows)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_an_affine_map_keeps_the_sum_and_moves_the_spots() -> None:
    angle = np.deg2rad(2)
    turn = 1.05 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    affine = Affine(turn, np.array([-12.0, 30.0]))
    spots = _spots()
    moved = Registered(spots, affine, SR_NM)[:]
    assert moved.sum() == pytest.approx(spots.sum(), rel=3e-3)
    there = np.array([[60.5], [100.5]]) * SR_NM
    row, column = affine.inverse_at(there)[:, 0] / SR_NM - 0.5
    near = moved[round(row) - 9 : round(row) + 10, round(column) - 9 : round(column) + 10]
    y, x = np.mgrid[-9:10, -9:10]
    centroid = [(near * at).sum() / near.sum() for at in (y, x)]
    expected = [row - round(row), column - round(column)]
    np.testing.assert_allclose(centroid, expected, atol=0.05)


def test_pairs_that_do_not_belong_are_left_out() -> None:
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 6400, (2, 20))
    there = places + np.array([[100.0], [-50.0]]) + rng.normal(0, 3, (2, 20))
    there[:, 4] += 400
    found = fitted(places, there, (6400, 6400))
    assert not found.used[4]
    assert found.used.sum() == 19
    middle = np.full((2, 1), 3200.0)
    np.testing.assert_allclose(found.affine.at(middle) - middle, [[100], [-50]], atol=3)
    assert 1.5 < found.residual_nm < 5
