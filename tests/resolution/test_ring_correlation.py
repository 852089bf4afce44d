"""Ring correlation finds the resolution that theory states, as a whole and on tiles."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_bench.drift.rings import PIXEL_NM, expected_nm, halves
from smlm_pipeline.resolution.correlation import (
    THRESHOLD,
    pooled_sums,
    resolution_map,
    ring_correlation,
)
from smlm_pipeline.resolution.rings import tile_pairs


@pytest.mark.parametrize(("sigma_nm", "localisations"), [(10, 3), (20, 5), (20, 20), (40, 10)])
def test_known_errors(sigma_nm: float, localisations: float) -> None:
    found = ring_correlation(pooled_sums(*halves(sigma_nm, localisations)), PIXEL_NM)
    assert found.resolution_nm == pytest.approx(expected_nm(sigma_nm, localisations), rel=0.04)
    assert not found.limited


def test_the_curve_is_that_of_theory() -> None:
    found = ring_correlation(pooled_sums(*halves(20, 3)), PIXEL_NM)
    shared = 3 * np.exp(-4 * np.pi**2 * (20**2 + PIXEL_NM**2 / 12) * (found.per_um / 1000) ** 2)
    wanted = (found.per_um > 2) & (found.per_um < 20)
    np.testing.assert_allclose(
        found.correlation[wanted], (shared / (1 + shared))[wanted], atol=0.08
    )


def test_halves_that_have_nothing_in_common() -> None:
    one, _ = halves(10, 3, seed=1)
    other, _ = halves(10, 3, seed=2)
    found = ring_correlation(pooled_sums(one, other), PIXEL_NM)
    assert found.resolution_nm == np.inf
    assert np.abs(found.correlation[10:]).max() < THRESHOLD


def test_halves_that_are_equal() -> None:
    one, _ = halves(10, 3)
    found = ring_correlation(pooled_sums(one, one), PIXEL_NM)
    assert found.limited
    assert found.resolution_nm == 2 * PIXEL_NM


def test_a_map_shows_where_it_is_sharp() -> None:
    sharp, blurred = halves(10, 5), halves(40, 5)
    left = np.arange(1024) < 512
    one, two = (np.where(left, s, b) for s, b in zip(sharp, blurred, strict=True))
    one[800:] = two[800:] = 0
    tiles = resolution_map(one, two, PIXEL_NM)
    assert (tiles.edge_nm, tiles.step_nm) == (2560, 1280)
    assert tiles.resolution_nm.shape == (7, 7)
    top = tiles.resolution_nm[:5]
    assert top[:, :3].max() < 50
    assert top[:, 4:].min() > 90
    assert np.isnan(tiles.resolution_nm[6]).all()
    assert tiles.quartiles_nm is not None


@pytest.mark.parametrize("shape", [(100, 230), (64, 64), (65, 200)])
def test_tiles_cover_the_image(shape: tuple[int, int]) -> None:
    image: NDArray[np.float32] = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    seen = np.zeros(shape, bool)
    for pair in tile_pairs(image, image, 64, 32):
        assert pair.one.shape == (64, 64)
        np.testing.assert_array_equal(pair.one, pair.two)
        seen[pair.top : pair.top + 64, pair.left : pair.left + 64] = True
    assert seen.all()
