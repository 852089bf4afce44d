"""The shipped network counts and places molecules in disturbed films as in the undisturbed one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from smlm_bench.disturb.measure import Outcome, outcome
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.pixel_faults import grown
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.disturbances import DISTURBANCES, Disturbed
from smlm_training.simulation.presets import PRESETS
from smlm_training.simulation.simulate import joined

SCENE = replace(PRESETS["uniform-3"], seed=7, frames=100, height_px=48, width_px=48)
CAMERA = Emccd(2.0, 100.0)
"""Of the preset."""

QUIET = [
    "shutter closed in the first 10 frames",
    "shutter closed in every second frame",
    "the same without its noise",
    "second colour of 100 photons",
    "second colour of 150 photons, shaded",
    "8 rows of zeros at both ends",
    "round field stop",
    "20 flickering pixels",
    "a bead that flickers by 20 %",
]
"""Disturbances that add no noise to molecules."""

NOISY = ["background flickers up to 200 photons", "a cell of 150 photons of background"]


@cache
def _film() -> Disturbed:
    return Disturbed.of(joined(list(SCENE.blocks())))


@cache
def _network() -> OnnxNetwork:
    return OnnxNetwork(network_file(find_model_repository(), "unet"), intra_op_threads=1)


def _disturbed(name: str) -> Disturbed:
    rng = np.random.default_rng([SCENE.seed, list(DISTURBANCES).index(name)])
    return DISTURBANCES[name](rng, _film(), CAMERA)


def _outcome(film: Disturbed) -> Outcome:
    return outcome(_network(), "film", "", film)


@pytest.mark.parametrize("name", NOISY)
def test_sum_under_noise(name: str) -> None:
    assert _outcome(_disturbed(name)).sum_ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", QUIET)
def test_sum_and_error(name: str) -> None:
    """Beside the same pixels of the undisturbed film.

    Not those at the edge of a picture: a part of the light of molecules there is gone.
    """
    film = _disturbed(name)
    film = replace(film, scored=film.scored & ~grown(~film.shown, 1))
    found = _outcome(film)
    undisturbed = _outcome(replace(_film(), shown=film.shown, scored=film.scored))
    assert found.sum_ratio == pytest.approx(1, abs=0.05)
    assert found.nmse_percent < 1.15 * undisturbed.nmse_percent
    assert found.outside_ratio == 0


def test_undisturbed_sum() -> None:
    assert SCENE.camera == CAMERA
    assert _outcome(_film()).sum_ratio == pytest.approx(1, abs=0.03)
