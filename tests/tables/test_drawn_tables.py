"""A table as an image: counts, and Gaussians with a sum of one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.tables import PLACES, random_rows, rows_at
from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables import rendering
from smlm_pipeline.tables.rendering import Grid, TableImage

FIELD = Grid(50, (0, 0, 6400, 4800))
UNCERTAIN = ("frame", "x_nm", "y_nm", "uncertainty_x_nm", "uncertainty_y_nm")


def test_a_molecule_is_counted_in_the_pixel_of_its_place() -> None:
    image = TableImage(Grid(10, (100, 200, 50, 30)), gaussian=False)
    image.add(rows_at((0, 100, 200), (1, 119.9, 229.9), (2, 99.9, 210), (3, 150, 210)))
    assert image.pixels.shape == (3, 5)
    assert np.argwhere(image.pixels).tolist() == [[0, 0], [2, 1]]


@pytest.mark.parametrize("gaussian", [False, True])
def test_each_molecule_has_a_sum_of_one(gaussian: bool) -> None:
    rows = random_rows(3000, PLACES)
    inside = (np.abs(rows["x_nm"] - 3200) < 2900) & (np.abs(rows["y_nm"] - 2400) < 2100)
    image = TableImage(FIELD, gaussian=gaussian)
    image.add(rows.take(inside))
    assert image.pixels.shape == (96, 128)
    assert image.pixels.sum() == pytest.approx(inside.sum(), rel=1e-4)


def test_a_gaussian_is_the_normal_distribution() -> None:
    """Integrated over pixels, wider along x; what points out of the image is not drawn."""
    grid = Grid(10, (0, 0, 400, 400))
    image = TableImage(grid, gaussian=True)
    image.add(rows_at((0, 203, 198, 40, 15), names=UNCERTAIN))
    edges = np.arange(0, 401, 10)

    def share(place: float, sigma: float) -> NDArray[np.float64]:
        cdf = [0.5 + math.erf((edge - place) / sigma / math.sqrt(2)) / 2 for edge in edges]
        return np.diff(cdf)

    expected = share(198, 15)[:, None] * share(203, 40)[None, :]
    np.testing.assert_allclose(image.pixels, expected, atol=2e-5)
    at_the_edge = TableImage(grid, gaussian=True)
    at_the_edge.add(rows_at((0, 0, 200, 30, 30), names=UNCERTAIN))
    assert at_the_edge.pixels.sum() == pytest.approx(0.5, abs=1e-3)


def test_without_an_uncertainty_a_molecule_is_one_pixel() -> None:
    image = TableImage(FIELD, gaussian=True)
    image.add(rows_at((0, 75, 25, np.nan, 10), (0, 75, 25, 0, 10), names=UNCERTAIN))
    assert np.argwhere(image.pixels).tolist() == [[0, 1]]
    assert image.pixels[0, 1] == 2


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(500, PLACES)
    whole, parts = (TableImage(FIELD, gaussian=True) for _ in range(2))
    whole.add(rows)
    monkeypatch.setattr(rendering, "_DRAWN_AT_ONCE", 200)
    for first in range(0, 500, 70):
        parts.add(rows.take(slice(first, first + 70)))
    np.testing.assert_allclose(parts.pixels, whole.pixels, atol=1e-5)


def test_an_image_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(SettingError, match="choose a larger --sr-pixel-nm or a smaller"):
        Grid(0.1, (0, 0, 6400, 4800)).check()
    FIELD.check()
