"""Backgrounds: their mean, how far they go from it, and that they are smooth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.backgrounds import Background, BackgroundKind
from smlm_training.simulation.samples import Field

FIELD = Field(48, 80, 100.0, 6.0)


@pytest.mark.parametrize("kind", ["flat", "graded", "patchy"])
@pytest.mark.parametrize("seed", range(4))
def test_mean_is_what_was_asked_for(kind: BackgroundKind, seed: int) -> None:
    light = Background(20.0, kind).expected_photons(np.random.default_rng(seed), FIELD)
    assert light.shape == (48, 80)
    assert light.mean() == pytest.approx(20.0)
    assert light.min() > 0


def test_flat_is_flat() -> None:
    light = Background(7.0).expected_photons(np.random.default_rng(1), FIELD)
    np.testing.assert_array_equal(light, 7.0)


@pytest.mark.parametrize("seed", range(4))
def test_graded_is_a_plane_between_its_ends(seed: int) -> None:
    graded = Background(20.0, "graded", variation=0.4)
    light = graded.expected_photons(np.random.default_rng(seed), FIELD)
    assert (light.min(), light.max()) == pytest.approx((12.0, 28.0))
    for axis in (0, 1):
        np.testing.assert_allclose(np.diff(light, n=2, axis=axis), 0, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_patchy_varies_as_stated_and_only_slowly(seed: int) -> None:
    patchy = Background(20.0, "patchy", variation=0.3, patch_nm=500)
    light = patchy.expected_photons(np.random.default_rng(seed), FIELD)
    logarithm = np.log(light)
    assert logarithm.std() == pytest.approx(0.3)
    # Gaussian smoothing by s gives neighbours a correlation of exp(-1 / (4 s^2))
    steps = np.concatenate([np.diff(logarithm, axis=axis).ravel() for axis in (0, 1)])
    expected = 0.3 * np.sqrt(2 * (1 - np.exp(-1 / (4 * 5.0**2))))
    assert steps.std() == pytest.approx(expected, rel=0.25)


def test_edges_of_patches_vary_no_more_than_the_middle() -> None:
    patchy = Background(20.0, "patchy")
    lights = np.log(
        [patchy.expected_photons(np.random.default_rng(seed), FIELD) for seed in range(200)]
    )
    spread = lights.std(axis=0)
    assert spread[0].mean() == pytest.approx(spread[20:28].mean(), rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"photons": -1.0}, "background in photons is -1.0; expected a number from 0"),
        ({"kind": "striped"}, "background kind is 'striped'; expected one of flat, graded, patchy"),
        ({"variation": 1.2}, "background variation is 1.2; expected a number from 0 to 1"),
        ({"patch_nm": 1.0}, "radius of background patches in nm is 1.0"),
    ],
)
def test_other_backgrounds_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Background(**settings)
