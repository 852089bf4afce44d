"""The plain sum of a map network's answers, by hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import sum_map
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import ChunkError

ONE = contract.WEIGHT_ONE


def _window(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def _lit(image: NDArray[np.int32]) -> dict[tuple[int, int], int]:
    """The pixels that are not zero."""
    return {(y, x): int(image[y, x]) for y, x in np.argwhere(image).tolist()}


def _maps(
    height_px: int, width_px: int, *values: tuple[int, int, int, float], frames: int = 1
) -> NDArray[np.float32]:
    """Maps of a tile, zero but for (frame, row, column, emitters)."""
    maps = np.zeros((frames, 1, 8 * height_px, 8 * width_px), np.float32)
    for frame, row, column, value in values:
        maps[frame, 0, row, column] = value
    return maps


def test_maps_add_up_where_they_are_inside_an_empty_margin() -> None:
    maps = _maps(4, 8, (0, 0, 0, 1), (0, 31, 63, 0.25), (1, 31, 63, 0.5), (2, 5, 7, 2), frames=3)
    image = sum_map(maps, _window(8, 0, 0, 4, 8))
    assert image.dtype == np.int32
    assert image.shape == image_shape(8, 4, 8)
    assert _lit(image) == {(8, 8): ONE, (39, 71): ONE // 4 + ONE // 2, (13, 15): 2 * ONE}


def test_only_the_core_of_a_map_counts() -> None:
    """A core of 4 x 5 pixels at (3, 5): fine rows 24 to 55, columns 40 to 79."""
    inside = [(0, 24, 40, 1.0), (0, 55, 79, 0.5)]
    around = [(0, 23, 40, 1.0), (0, 24, 39, 1.0), (0, 56, 79, 1.0), (0, 55, 80, math.nan)]
    maps = _maps(12, 16, *inside, *around)
    image = sum_map(maps, _window(8, 3, 5, 4, 5))
    assert image.shape == (48, 56)
    assert _lit(image) == {(8, 8): ONE, (39, 47): ONE // 2}


@pytest.mark.parametrize(
    ("value", "units"),
    [
        (1, ONE),
        (3.5, 7 * ONE // 2),
        (1.5 / ONE, 2),  # halves go to the even number
        (2.5 / ONE, 2),
        (0.49 / ONE, 0),
        (-0.1, 0),
        (-1e6, 0),
    ],
)
def test_values_of_a_map_are_rounded_one_by_one(value: float, units: int) -> None:
    maps = _maps(4, 4, (0, 9, 9, value), (1, 9, 9, value), frames=2)
    assert sum_map(maps, _window(8, 0, 0, 4, 4)).sum() == 2 * units


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 5), first=st.integers(0, 5))
def test_neither_order_nor_cutting_of_maps_shows(seed: int, frames: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, 1, (frames, 1, 64, 96)).astype(np.float32)
    before = maps.copy()
    window = _window(8, 4, 0, 4, 9)
    image = sum_map(maps, window)
    np.testing.assert_array_equal(sum_map(rng.permutation(maps), window), image)
    parts = [part for part in (maps[:first], maps[first:]) if len(part)]
    np.testing.assert_array_equal(sum(sum_map(part, window) for part in parts), image)
    core = np.maximum(maps[:, 0, 32:, :72].astype(np.float64), 0)
    assert image.sum(dtype=np.int64) == np.rint(core * ONE).sum()
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("zoom", [1, 7, 16])
def test_a_map_is_of_one_zoom(zoom: int) -> None:
    words = f"WINDOW asks for zoom {zoom}; expected 8, .* or ask 'reconstruction', which draws"
    with pytest.raises(ChunkError, match=words):
        sum_map(_maps(4, 4), _window(zoom, 0, 0, 4, 4))


def test_a_window_outside_of_a_map_is_refused() -> None:
    with pytest.raises(ChunkError, match="does not lie in a tile of 8 x 12 pixels"):
        sum_map(_maps(8, 12), _window(8, 0, 0, 8, 13))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 16384, 3e38])
def test_maps_that_make_no_sense_are_refused(value: float) -> None:
    """Two frames of 16384 emitters in a fine pixel are more than its integer holds."""
    maps = _maps(4, 4, (1, 9, 3, value), frames=2)
    with pytest.raises(ChunkError, match="that is not a number, or above 16384 in one SR pixel"):
        sum_map(maps, _window(8, 0, 0, 4, 4))


@pytest.mark.parametrize("frames", [1, 3, 64])
def test_the_largest_sum_of_maps_does_not_overflow(frames: int) -> None:
    most = np.nextafter(np.float32(2**15 / frames), np.float32(0), dtype=np.float32)
    maps = np.full((frames, 1, 32, 32), most, np.float32)
    image = sum_map(maps, _window(8, 0, 0, 4, 4))
    assert image.min() == 0
    assert image.max() == frames * int(np.rint(most * np.float32(ONE)))
