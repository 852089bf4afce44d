"""The filters of a refinement: they keep the sum, are symmetric, and see no edge."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from smlm_pipeline.refine.gaussian import (
    filtered_columns,
    filtered_rows,
    half_kernel,
    mirrored,
)


def _blurred(image: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    kernel = half_kernel(sigma_px)
    radius = len(kernel) - 1
    wide = image[mirrored(-radius, len(image) + radius, len(image))]
    return filtered_columns(filtered_rows(wide, kernel), kernel)


@pytest.mark.parametrize("sigma_px", [0.05, 0.5, 1.0, 2.7, 17.0])
def test_the_weights_are_those_of_a_gaussian_over_pixels(sigma_px: float) -> None:
    kernel = half_kernel(sigma_px).astype(np.float64)
    distance = np.arange(len(kernel))
    assert kernel[0] + 2 * kernel[1:].sum() == pytest.approx(1, abs=1e-6)
    variance_px2 = 2 * (kernel * distance**2).sum()
    if sigma_px >= 0.5:
        assert variance_px2 == pytest.approx(sigma_px**2 + 1 / 12, rel=0.03)
    else:
        assert variance_px2 == pytest.approx(0, abs=1e-6)


def test_it_is_the_filter_of_scipy() -> None:
    image = np.random.default_rng(1).random((40, 60)).astype(np.float32)
    half = half_kernel(1.8).astype(np.float64)
    whole = np.concatenate([half[:0:-1], half])
    expected = image.astype(np.float64)
    for axis in (0, 1):
        expected = scipy.ndimage.correlate1d(expected, whole, axis, mode="reflect")
    np.testing.assert_allclose(_blurred(image, 1.8), expected, rtol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 5), (64, 33)])
@pytest.mark.parametrize("sigma_px", [0.4, 2.5])
def test_the_sum_is_kept_and_evenness_too(shape: tuple[int, int], sigma_px: float) -> None:
    """In an image that is smaller than the filter as well."""
    image = np.random.default_rng(2).random(shape).astype(np.float32)
    assert _blurred(image, sigma_px).sum() == pytest.approx(image.sum(), rel=1e-5)
    even = np.full(shape, 3, np.float32)
    np.testing.assert_allclose(_blurred(even, sigma_px), even, rtol=1e-6)


def test_it_is_symmetric_as_a_matrix() -> None:
    """<K a, b> = <a, K b>: the step back of a refinement takes the same filter."""
    random = np.random.default_rng(3)
    one, other = (random.random((20, 30)).astype(np.float32) for _ in range(2))
    there = float((_blurred(one, 2.2).astype(np.float64) * other).sum())
    back = float((one.astype(np.float64) * _blurred(other, 2.2)).sum())
    assert there == pytest.approx(back, rel=1e-6)


def test_mirror_images_continue_an_image() -> None:
    assert mirrored(-4, 8, 3).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]
