"""The plain sum of a map network's answers, by hand-computed values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes.sums import image, lit
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import most_in_map, sum_map
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ChunkError

ONE = contract.WEIGHT_ONE


def _summed(maps: NDArray[np.float32], window: Window) -> NDArray[np.int64]:
    """The image, zeros included."""
    return image(sum_map(maps, window.as_tensor()), window)


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
    window = Window(8, 0, 0, 4, 8)
    assert window.shape == (1, 48, 80)
    assert lit(sum_map(maps, window.as_tensor()), window) == {
        (8, 8): ONE,
        (39, 71): ONE // 4 + ONE // 2,
        (13, 15): 2 * ONE,
    }


def test_only_the_core_of_a_map_counts() -> None:
    """A core of 4 x 5 pixels at (3, 5): SR rows 24 to 55, columns 40 to 79."""
    inside = [(0, 24, 40, 1.0), (0, 55, 79, 0.5)]
    around = [(0, 23, 40, 1.0), (0, 24, 39, 1.0), (0, 56, 79, 1.0), (0, 55, 80, math.nan)]
    maps = _maps(12, 16, *inside, *around)
    window = Window(8, 3, 5, 4, 5)
    assert window.shape == (1, 48, 56)
    assert lit(sum_map(maps, window.as_tensor()), window) == {(8, 8): ONE, (39, 47): ONE // 2}


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
    assert _summed(maps, Window(8, 0, 0, 4, 4)).sum() == 2 * units


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 5), first=st.integers(0, 5))
def test_neither_order_nor_cutting_of_maps_shows(seed: int, frames: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, 1, (frames, 1, 64, 96)).astype(np.float32)
    before = maps.copy()
    window = Window(8, 4, 0, 4, 9)
    whole = _summed(maps, window)
    np.testing.assert_array_equal(_summed(rng.permutation(maps), window), whole)
    parts = [part for part in (maps[:first], maps[first:]) if len(part)]
    np.testing.assert_array_equal(sum(_summed(part, window) for part in parts), whole)
    core = np.maximum(maps[:, 0, 32:, :72].astype(np.float64), 0)
    assert whole.sum() == np.rint(core * ONE).sum()
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("zoom", [1, 7, 16])
def test_a_map_is_of_one_zoom(zoom: int) -> None:
    words = f"WINDOW asks for zoom {zoom}; expected 8, .* or ask 'reconstruction', which draws"
    with pytest.raises(ChunkError, match=words):
        _summed(_maps(4, 4), Window(zoom, 0, 0, 4, 4))


def test_a_window_outside_of_a_map_is_refused() -> None:
    with pytest.raises(ChunkError, match="does not lie in a tile of 8 x 12 pixels"):
        _summed(_maps(8, 12), Window(8, 0, 0, 8, 13))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 16384, 3e38])
def test_maps_that_make_no_sense_are_refused(value: float) -> None:
    """Two frames of 16384 emitters in a SR pixel are more than its integer holds."""
    maps = _maps(4, 4, (1, 9, 3, value), frames=2)
    with pytest.raises(ChunkError, match="that is not a number, or above 16384 in one SR pixel"):
        _summed(maps, Window(8, 0, 0, 4, 4))


@pytest.mark.parametrize("frames", [1, 3, 64, 1024])
def test_the_largest_sum_of_maps_does_not_overflow(frames: int) -> None:
    """Nor where the largest value is rounded up, as in 1024 frames of 31.999998 emitters."""
    most = np.nextafter(np.float32(most_in_map(frames)), np.float32(0), dtype=np.float32)
    maps = np.full((frames, 1, 32, 32), most, np.float32)
    summed = _summed(maps, Window(8, 0, 0, 4, 4))
    assert summed.min() == 0
    assert summed.max() > 0.999 * 2**31
    assert summed.max() == frames * int(np.rint(most * np.float32(ONE)))


@pytest.mark.parametrize("asked", [{"classes": 2}, {"molecules": True}])
def test_maps_have_neither_classes_nor_molecules(asked: dict[str, Any]) -> None:
    with pytest.raises(ChunkError, match="expected neither: ask 'reconstruction'"):
        _summed(_maps(4, 4), Window(8, 0, 0, 4, 4, **asked))


@pytest.mark.parametrize("frames", [256, 1024])
def test_a_value_that_would_be_rounded_to_too_much_is_refused(frames: int) -> None:
    most = np.nextafter(np.float32(2**15 / frames), np.float32(0), dtype=np.float32)
    assert frames * int(np.rint(most * np.float32(ONE))) == 2**31
    maps = np.full((frames, 1, 32, 32), most, np.float32)
    with pytest.raises(ChunkError, match="that is not a number, or above"):
        _summed(maps, Window(8, 0, 0, 4, 4))
