"""Decorrelation analysis finds the width of a blur, whatever the noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.resolution.correlation import pooled_sums
from smlm_pipeline.resolution.decorrelation import decorrelation_nm

PIXEL_NM = 10.0


def _blurred(sigma_px: float, noise: float) -> NDArray[np.float32]:
    """Dots, blurred, whose brightest pixel is 1."""
    rng = np.random.default_rng(4)
    dots = np.zeros((512, 512))
    np.add.at(dots, tuple(rng.integers(0, 512, (2, 3000))), 1)
    frequency = np.fft.fftfreq(512)
    squared = frequency[:, None] ** 2 + frequency**2
    image = np.fft.ifft2(np.fft.fft2(dots) * np.exp(-2 * (np.pi * sigma_px) ** 2 * squared)).real
    noisy = image / image.max() + rng.normal(0, noise, image.shape)
    return np.asarray(noisy, np.float32)


@pytest.mark.parametrize("noise", [0.001, 0.02])
@pytest.mark.parametrize("sigma_px", [2.0, 4.0, 8.0])
def test_the_width_of_a_blur(sigma_px: float, noise: float) -> None:
    image = _blurred(sigma_px, noise)
    found_nm = decorrelation_nm(pooled_sums(image, image), PIXEL_NM)
    assert found_nm == pytest.approx(2.5 * sigma_px * PIXEL_NM, rel=0.12)


def test_noise_alone_has_none() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    assert decorrelation_nm(pooled_sums(noise, noise), PIXEL_NM) == np.inf
    assert decorrelation_nm(pooled_sums(0 * noise, 0 * noise), PIXEL_NM) == np.inf
