"""Precision classes hold equal numbers of emitters, over films that count alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.model_repository import network_file
from smlm_training.delivery.card import SCORED
from smlm_training.delivery.configuration import class_borders_of
from smlm_training.scoring.class_borders import class_borders_px
from smlm_training.simulation.presets import PRESETS

SCENE = replace(PRESETS["uniform-1"], height_px=16, width_px=16)


_Film = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sigmas in camera pixels, and probabilities."""


class _Network:
    """It answers each film with detections of given sigmas and probabilities."""

    answer = contract.DETECTION_ANSWER
    engine = NetworkEngine()

    def __init__(self, films: Sequence[_Film]) -> None:
        self._films = iter(films)

    def detect(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """A sigma along y that is 3/4 of that along x, in random order."""
        count, height, width = frames_adu.shape
        assert levels_adu.shape == (count, 2)
        sigma_px, probability = next(self._films)
        order = np.random.default_rng(1).integers(0, len(sigma_px), (count, height, width))
        answers = np.zeros((count, 7, height, width), np.float32)
        along_x_px = sigma_px / np.sqrt((1 + 0.75**2) / 2)
        for channel, values in ((0, probability), (3, 0.75 * along_x_px), (4, along_x_px)):
            answers[:, channel] = values[order]
        return answers


def _even(first_px: float, last_px: float) -> _Film:
    return np.linspace(first_px, last_px, 1000), np.full(1000, 0.3)


def _borders(*films: _Film) -> dict[int, tuple[float, ...]]:
    return class_borders_px(_Network(films), [SCENE] * len(films))


def test_classes_of_even_sigmas_are_even() -> None:
    borders = _borders(_even(0.1, 0.5))
    assert list(borders) == [2, 3, 4]
    assert borders[2] == pytest.approx((0.3,), abs=0.01)
    assert borders[3] == pytest.approx((0.1 + 0.4 / 3, 0.1 + 0.8 / 3), abs=0.01)
    assert borders[4] == pytest.approx((0.2, 0.3, 0.4), abs=0.01)
    assert all(each == round(each, 4) for each in borders[4])


def test_a_detection_counts_by_its_probability() -> None:
    """Nine tenths of the emitters are in the lower half."""
    sigma_px, _ = _even(0.1, 0.5)
    (border_px,) = _borders((sigma_px, np.where(sigma_px < 0.3, 0.9, 0.1)))[2]
    assert border_px == pytest.approx(0.1 + 0.2 * 0.5 / 0.9, abs=0.01)


def test_every_film_counts_alike() -> None:
    """The emitters of the second are three times as probable."""
    sigma_px, probability = _even(0.3, 0.5)
    borders = _borders(_even(0.1, 0.3), (sigma_px, 3 * probability))
    assert borders[2] == pytest.approx((0.3,), abs=0.01)


def test_the_card_of_the_network_that_ships_is_about_it(model_repository: Path) -> None:
    """Half of the emitters of its films are on either side, up to other processors' rounding."""
    file = network_file(model_repository, contract.UNET_FAST.name)
    stated = class_borders_of(json.loads(file.with_name("model.json").read_text()))
    found = class_borders_px(OnnxNetwork(file, intra_op_threads=0), SCORED.values())
    for classes, borders_px in stated.items():
        assert found[classes] == pytest.approx(borders_px, abs=2e-4)
