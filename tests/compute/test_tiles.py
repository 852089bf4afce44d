"""Tiles cut out of frames, and the shapes of their images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.tiles import cut, image_shape


def test_image_shape_has_a_margin_all_round() -> None:
    assert image_shape(8, 64, 32) == (528, 272)
    assert image_shape(1, 1, 1) == (3, 3)


def _cut(frames: NDArray[np.uint16], region: tuple[int, int, int, int]) -> NDArray[np.uint16]:
    top, left, height, width = region
    return cut(frames, top=top, left=left, height=height, width=width)


def test_cut_inside_is_a_view() -> None:
    frames = np.arange(2 * 6 * 8, dtype=np.uint16).reshape(2, 6, 8)
    part = _cut(frames, (2, 4, 4, 4))
    assert np.shares_memory(part, frames)
    np.testing.assert_array_equal(part, frames[:, 2:6, 4:8])


def test_cut_beyond_the_edges_repeats_them() -> None:
    frames = np.arange(2 * 6 * 7, dtype=np.uint16).reshape(2, 6, 7)
    part = _cut(frames, (4, 4, 4, 8))
    assert part.dtype == np.uint16
    assert part.shape == (2, 4, 8)
    np.testing.assert_array_equal(part[:, :2, :3], frames[:, 4:, 4:])
    np.testing.assert_array_equal(part[:, 2], part[:, 1])
    np.testing.assert_array_equal(part[:, 3], part[:, 1])
    assert (part[:, :, 3:] == part[:, :, 2:3]).all()
    assert not np.shares_memory(part, frames)
