"""The highest value of a map is found between pixels, on round peaks and on ridges aslant."""

from __future__ import annotations

import numpy as np
import pytest

from smlm_pipeline.compute.peaks import highest


@pytest.mark.parametrize("twist", [0.0, 0.8, -0.95])
def test_the_top_of_a_paraboloid(twist: float) -> None:
    y, x = np.mgrid[:11, :11] - 5.0
    y, x = y - 0.3, x + 0.2
    place = highest(-(y**2 + x**2 + 2 * twist * y * x)[None])
    np.testing.assert_allclose(place, [[5.3, 4.8]], atol=1e-9)


def test_maps_without_a_peak() -> None:
    y, x = np.mgrid[:7, :7] - 3.0
    saddle, flat, valley = y * x, np.zeros((7, 7)), y**2 - x**2
    places = highest(np.stack([saddle, flat, valley]))
    assert np.isfinite(places).all()
    assert ((places >= 0) & (places <= 6)).all()
