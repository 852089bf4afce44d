"""An image compared with its wide field: the fit, and where the image is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.resolution import error_map as module
from smlm_pipeline.resolution.camera_view import camera_view
from smlm_pipeline.resolution.error_map import BORDER_PX, ErrorMap, error_map

ZOOM, EDGE_PX = 8, 48


def _image(seed: int = 0) -> NDArray[np.float32]:
    """Rings: 4,000 molecules."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(8, EDGE_PX - 8, (2, 9, 1))
    angle = rng.uniform(0, 2 * np.pi, (9, 450))
    y, x = (centre + 5 * np.stack([np.sin(angle), np.cos(angle)])).reshape(2, -1) * ZOOM
    image = np.zeros((EDGE_PX * ZOOM,) * 2, np.float32)
    np.add.at(image, (y.astype(int), x.astype(int)), 1)
    return image


def _compared(image: NDArray[np.float32], wide_field: NDArray[np.float64]) -> ErrorMap:
    return error_map(image, wide_field, ZOOM, np.zeros(wide_field.shape, bool))


@pytest.mark.parametrize("sigma_px", [0.9, 1.3, 2.2])
def test_the_fit_finds_width_slope_and_offset(sigma_px: float) -> None:
    wide = 30 * camera_view(_image(), ZOOM, sigma_px) + 7
    found = _compared(_image(), wide)
    assert found.sigma_px == pytest.approx(sigma_px, abs=0.03)
    assert found.slope == pytest.approx(30, rel=0.01)
    assert found.offset == pytest.approx(7, abs=1)
    assert found.pearson > 0.9995
    assert found.unexplained < 0.03
    np.testing.assert_allclose(found.model, wide, atol=0.02 * wide.max())


def test_noise_is_stated_and_not_taken_for_errors() -> None:
    wide = 30 * camera_view(_image(), ZOOM, 1.2)
    noisy = wide + np.random.default_rng(1).normal(0, 4, wide.shape)
    noisy[20, 25] += 500  # a hot pixel is an error, no noise
    found = _compared(_image(), noisy)
    assert found.noise == pytest.approx(4, rel=0.15)
    assert found.error > 10
    assert np.nanargmax(found.difference) == 20 * EDGE_PX + 25


def test_missing_and_false_structures_have_opposite_signs() -> None:
    truth = _image()
    lacking, false = truth.copy(), np.zeros_like(truth)
    lacking[: EDGE_PX * ZOOM // 2, : EDGE_PX * ZOOM // 2] = 0
    false[300:330, 300:330] = 2
    found = _compared(lacking + false, 30 * camera_view(truth, ZOOM, 1.2))
    here = camera_view(truth - lacking, ZOOM, 1.2) > 1
    there = camera_view(false, ZOOM, 1.2) > 10
    assert np.nanmean(found.difference[here]) > 10
    assert np.nanmean(found.difference[there]) < -10
    assert found.pearson < 0.9
    assert found.unexplained > 0.4


def test_edges_and_blank_parts_are_not_judged() -> None:
    wide = 30 * camera_view(_image(), ZOOM, 1.2)
    whole = _compared(_image(), wide)
    wide[:, :BORDER_PX] += 1000
    wide[10:20, 10:20] = -500
    blank = np.zeros(wide.shape, bool)
    blank[10:20, 10:20] = True
    found = error_map(_image(), wide, ZOOM, blank)
    assert found.sigma_px == pytest.approx(whole.sigma_px, abs=0.02)
    assert found.pearson > 0.999
    unjudged = np.isnan(found.difference)
    assert unjudged[10:20, 10:20].all()
    assert unjudged[:, :BORDER_PX].all()
    assert np.count_nonzero(unjudged) == EDGE_PX**2 - (EDGE_PX - 2 * BORDER_PX) ** 2 + 100


def test_an_image_of_something_else() -> None:
    found = _compared(_image(), 30 * camera_view(_image(7), ZOOM, 1.2))
    assert found.pearson < 0.7
    assert found.unexplained > 0.7


@pytest.mark.parametrize("wide", [0.0, 3.0])
def test_nothing_to_compare(wide: float) -> None:
    even = np.full((EDGE_PX, EDGE_PX), wide)
    empty = _compared(np.zeros_like(_image()), even)
    assert np.isnan(empty.sigma_px)
    assert (empty.pearson, empty.slope, empty.offset) == (0, 0, wide)
    opposite = _compared(_image(), -camera_view(_image(), ZOOM, 1.2))
    assert opposite.slope == 0
    assert opposite.pearson < 0


def test_the_width_of_a_large_field_is_that_of_its_fullest_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WIDTH_EDGE_PX", 24)
    wide = 30 * camera_view(_image(), ZOOM, 1.3)
    wide[24:, 24:] = 0
    found = _compared(_image(), wide)
    assert found.sigma_px == pytest.approx(1.3, abs=0.15)


def test_a_field_smaller_than_its_border() -> None:
    image = np.zeros((8, 64), np.float32)
    image[4, 30] = 10
    blank = np.zeros((1, 8), bool)
    found = error_map(image, camera_view(image, 8, 1.0), 8, blank)
    assert found.pearson > 0.99
    assert not np.isnan(found.difference).any()
