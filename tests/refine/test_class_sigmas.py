"""The errors of precision classes, from their borders."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.places import ROOT
from smlm_pipeline import contract
from smlm_pipeline.model_repository import class_borders_px
from smlm_pipeline.refine.refinement import class_sigmas_px


@pytest.mark.parametrize("classes", [3, 4])
@pytest.mark.parametrize("spread", [0.1, 0.6])
def test_of_a_logarithmic_normal_distribution_they_are_right(classes: int, spread: float) -> None:
    sigma_px = np.random.default_rng(1).lognormal(np.log(0.12), spread, 400_000)
    borders_px = np.quantile(sigma_px, np.arange(1, classes) / classes)
    number = np.searchsorted(borders_px, sigma_px)
    true_px = [np.sqrt(np.mean(sigma_px[number == each] ** 2)) for each in range(classes)]
    np.testing.assert_allclose(class_sigmas_px(borders_px.tolist()), true_px, rtol=0.01)


@pytest.mark.parametrize("network", ["unet", "unet_fast"])
def test_of_the_shipped_networks_each_is_between_its_borders(network: str) -> None:
    borders_px = class_borders_px(ROOT / "model_repository", network)[contract.MAX_CLASSES]
    sigmas_px = class_sigmas_px(borders_px)
    assert len(sigmas_px) == contract.MAX_CLASSES
    assert np.searchsorted(borders_px, sigmas_px).tolist() == list(range(contract.MAX_CLASSES))
    assert sigmas_px[-1] < 2 * borders_px[-1]
