"""Gridding is told from structure, and the densest place is found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.resolution import pixel_places as module
from smlm_pipeline.resolution.pixel_places import BLOCK_PX, pixel_places

ZOOM, EDGE_PX = 8, 64


def _uniform(seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.poisson(0.3, (EDGE_PX * ZOOM,) * 2).astype(np.float32)


def test_even_places() -> None:
    places = pixel_places(_uniform(), ZOOM)
    assert places.y_share.sum() == pytest.approx(1)
    assert places.x_share.sum() == pytest.approx(1)
    assert places.deviation < 0.03
    assert places.dense == pytest.approx(0.3 * ZOOM**2, rel=0.1)


def test_gridding_is_sure() -> None:
    image = _uniform()
    image[:, 3::ZOOM] *= 1.5  # columns in the middle of camera pixels
    places = pixel_places(image, ZOOM)
    assert places.x_share.argmax() == 3
    assert places.deviation == pytest.approx(0.41, abs=0.03)
    assert places.deviation > 10 * places.deviation_error


def test_a_line_along_an_axis_is_no_gridding() -> None:
    image = np.zeros((EDGE_PX * ZOOM,) * 2, np.float32)
    image[:, 203] = 1
    places = pixel_places(image, ZOOM)
    assert places.deviation > 1
    assert np.isinf(places.deviation_error)
    image[:, [60, 131, 322, 410]] = 1
    several = pixel_places(image, ZOOM)
    assert several.deviation < 3 * several.deviation_error


def test_bands_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _uniform()
    whole = pixel_places(image, ZOOM)
    monkeypatch.setattr(module, "_BAND_PIXELS", 1)
    parts = pixel_places(image, ZOOM)
    np.testing.assert_allclose(parts.x_share, whole.x_share)
    assert parts.dense == pytest.approx(whole.dense)


def test_the_densest_place_and_a_field_without_a_block() -> None:
    image = _uniform()
    image[: BLOCK_PX * ZOOM, : BLOCK_PX * ZOOM] += 3
    assert pixel_places(image, ZOOM).dense > 2 * 0.3 * ZOOM**2
    assert pixel_places(image[: 4 * ZOOM], ZOOM).dense > 0


def test_an_empty_image() -> None:
    places = pixel_places(np.zeros((32, 32), np.float32), 4)
    assert np.isinf(places.deviation_error)
    assert places.dense == 0
