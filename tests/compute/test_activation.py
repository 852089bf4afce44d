"""The activation: the functions that its description states, for every logit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.activation import FACTORS, LEAST, activate

LOGITS = (-200.0, -20.0, -1.5, 0.0, 0.5, 20.0, 200.0)


def _activated(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    detections = np.full_like(logits, np.nan)
    activate(logits, detections)
    return detections


def _softplus(logit: float) -> float:
    return max(logit, 0) + math.log1p(math.exp(-abs(logit)))


@pytest.mark.parametrize("logit", LOGITS)
def test_every_channel_is_its_function(logit: float) -> None:
    channels = len(contract.DETECTION_CHANNELS)
    found = _activated(np.full((2, channels, 4, 4), logit, np.float32))
    offset_px = contract.MAX_OFFSET_PX * math.tanh(logit)
    *sigma_px, intensity, relative = (
        least + factor * _softplus(logit) for least, factor in zip(LEAST, FACTORS, strict=True)
    )
    probability = 0.5 * (1 + math.tanh(logit / 2))
    expected = [probability, offset_px, offset_px, *sigma_px, intensity, intensity * relative]
    for frame in found.reshape(2, channels, -1):
        np.testing.assert_allclose(frame, np.tile(expected, (16, 1)).T, rtol=2e-6, atol=1e-9)


def test_answers_do_not_depend_on_the_frames_beside() -> None:
    """Vectors of a processor end at other pixels then."""
    logits = np.random.default_rng(1).normal(-4, 6, (5, 7, 12, 20)).astype(np.float32)
    whole = _activated(logits)
    for first in range(5):
        np.testing.assert_array_equal(
            _activated(logits[first : first + 1]), whole[first : first + 1]
        )
