"""Training films get light that changes and pixels without a picture, as often as is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smlm_pipeline.compute.normalize import normalize_whole
from smlm_training.fitting.datasets import random_film
from smlm_training.fitting.disturbances import changing_light, faulty_pixels
from smlm_training.fitting.ranges import Ranges

RANGES = Ranges()
NONE = replace(RANGES, changing_share=0.0, faulty_share=0.0, outside_share=0.0)
ALL = replace(RANGES, changing_share=1.0, faulty_share=1.0, outside_share=1.0)


@pytest.mark.parametrize(("ranges", "share"), [(NONE, 0.0), (RANGES, 0.25), (ALL, 1.0)])
def test_light_changes_in_a_share_of_films(ranges: Ranges, share: float) -> None:
    films = [changing_light(np.random.default_rng(seed), ranges) for seed in range(400)]
    assert {light.shape for light in films} == {(ranges.frames_per_film, 1, 1)}
    assert min(light.min() for light in films) >= 0
    assert max(light.max() for light in films) <= ranges.changing_photons[1]
    changing = [light.any() for light in films]
    assert np.mean(changing) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    ("ranges", "single", "wide"), [(NONE, 0.0, 0.0), (RANGES, 0.15, 0.1), (ALL, 1.0, 1.0)]
)
def test_pixels_are_faulty_in_a_share_of_films(ranges: Ranges, single: float, wide: float) -> None:
    films = [faulty_pixels(np.random.default_rng(seed), ranges) for seed in range(400)]
    assert np.mean([faults.hot.any() for faults in films]) == pytest.approx(single, abs=0.12)
    assert np.mean([faults.constant.any() for faults in films]) == pytest.approx(wide, abs=0.06)
    assert max(faults.constant.mean() for faults in films) < 2 / 3
    assert all(faults.fill_adu is None for faults in films)


def test_they_are_replaced_before_a_network_sees_them() -> None:
    """Prepared frames do not depend on what the faulty pixels held."""
    ranges = replace(ALL, patch_px=32, frames_per_film=4)
    for seed in range(8):
        made = random_film(np.random.default_rng(seed), ranges)
        film, conditioning = made.film, made.conditioning
        away = conditioning.faults.any_of
        assert away.any()
        other_adu = film.frames_adu.copy()
        other_adu[:, away] = 65535
        frames_adu, levels_adu = conditioning.apply(film.frames_adu, 0)
        shown_adu, shown_levels_adu = conditioning.apply(other_adu, 0)
        np.testing.assert_array_equal(frames_adu, shown_adu)
        np.testing.assert_array_equal(levels_adu, shown_levels_adu)
        assert np.isfinite(normalize_whole(frames_adu, levels_adu)).all()
        assert (levels_adu[:, 1] > 0).all()


def test_the_background_follows_the_light() -> None:
    """So what changes is gone from what a network sees, but for its noise."""
    ranges = replace(NONE, changing_share=1.0, changing_photons=(900.0, 1000.0), patch_px=32)
    for seed in range(6):
        made = random_film(np.random.default_rng(seed), ranges)
        film, conditioning = made.film, made.conditioning
        levels_adu = conditioning.apply(film.frames_adu, 0)[1]
        means_adu = np.median(film.frames_adu, axis=(1, 2))
        assert np.ptp(means_adu - levels_adu[:, 0]) < 0.35 * max(float(np.ptp(means_adu)), 1.0)
