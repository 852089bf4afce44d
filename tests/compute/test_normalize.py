"""Normalisation, by hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smlm_pipeline.compute.normalize import NORMALIZED_MAX, normalize
from smlm_pipeline.errors import ChunkError


def test_normalize_by_hand() -> None:
    frames = np.arange(32, dtype=np.uint16).reshape(2, 4, 4)
    levels = np.array([[4, 2], [16, 2]], np.float32)
    normalized = normalize(frames, levels)
    assert normalized.dtype == np.float32
    assert normalized.shape == (2, 1, 4, 4)
    assert normalized[0, 0, 0].tolist() == [-2, -1.5, -1, -0.5]
    assert normalized[1, 0, 3].tolist() == [6, 6.5, 7, 7.5]


def test_normalize_takes_the_whole_range_and_leaves_its_input() -> None:
    frames = np.array([0, 65535], np.uint16).repeat(8).reshape(1, 4, 4)
    levels = np.broadcast_to(np.array([65535, 1], np.float32), (1, 2))
    normalized = normalize(frames, levels)
    assert sorted(set(normalized.ravel().tolist())) == [-65535, 0]
    assert sorted(set(frames.ravel().tolist())) == [0, 65535]


@pytest.mark.parametrize(
    "levels", [(math.nan, 1), (math.inf, 1), (0, math.nan), (0, math.inf), (0, 0), (0, -1)]
)
def test_levels_that_cannot_be_divided_by_are_refused(levels: tuple[float, float]) -> None:
    both = np.array([(100, 1), levels], np.float32)
    with pytest.raises(ChunkError, match="LEVELS must be finite with a positive scale"):
        normalize(np.zeros((2, 4, 4), np.uint16), both)


def test_what_outshines_molecules_is_limited() -> None:
    values = np.array([[100, 260], [65535, 420]], np.uint16).repeat(2, axis=0).repeat(2, axis=1)
    levels = np.array([[100, 10]], np.float32)
    found = normalize(values[None], levels)
    assert np.unique(found).tolist() == [0, 16, 32]
    assert NORMALIZED_MAX == 32
