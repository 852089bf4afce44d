"""An image as the camera sees it: exact, at any zoom, whatever the bands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.resolution import camera_view as module
from smlm_pipeline.resolution.camera_view import camera_view


def _exact(image: NDArray[np.float32], zoom: int, sigma_px: float) -> NDArray[np.float64]:
    """By the error function, for each pair of an SR pixel and a camera pixel."""

    def shares(pixels: int) -> NDArray[np.float64]:
        centres = (np.arange(pixels * zoom) + 0.5) / zoom
        borders = np.arange(pixels + 1)[:, None] - centres
        below = np.vectorize(math.erf)(borders / (math.sqrt(2) * sigma_px)) / 2
        return np.diff(below, axis=0)

    height, width = (edge // zoom for edge in image.shape)
    return np.asarray(shares(height) @ image @ shares(width).T)


@pytest.mark.parametrize("zoom", [1, 3, 8])
@pytest.mark.parametrize("band_pixels", [1, 1 << 20])
def test_exact(zoom: int, band_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BAND_PIXELS", band_pixels)
    image = np.random.default_rng(zoom).poisson(0.2, (17 * zoom, 22 * zoom)).astype(np.float32)
    expected = _exact(image, zoom, 1.2)
    np.testing.assert_allclose(camera_view(image, zoom, 1.2), expected, atol=1e-4 * expected.max())


def test_a_spot_keeps_its_light_but_for_what_leaves_the_field() -> None:
    image = np.zeros((160, 160), np.float32)
    image[83, 77] = 5
    assert camera_view(image, 8, 1.3).sum() == pytest.approx(5, rel=1e-4)
    corner = np.zeros((160, 160), np.float32)
    corner[0, 0] = 1
    assert camera_view(corner, 8, 1.3).sum() == pytest.approx(0.2695, abs=1e-3)
