"""The arithmetic, by hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.compute.normalize import NORMALIZED_MAX, normalize
from smlm_pipeline.compute.tiles import check_window, cut, image_shape
from smlm_pipeline.errors import ChunkError

ONE = contract.WEIGHT_ONE


def _detections(
    height_px: int,
    width_px: int,
    *emitters: tuple[int, int, float, float, float],
    frames: int = 1,
) -> NDArray[np.float32]:
    """Detections in frame 0, zero but for (row, column, probability, offset y, offset x)."""
    detections = np.zeros((frames, 5, height_px, width_px), np.float32)
    for row, column, *values in emitters:
        detections[0, :3, row, column] = values
    return detections


def _window(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def _drawn(image: NDArray[np.int32]) -> dict[tuple[int, int], int]:
    """The pixels that are not zero."""
    return {(y, x): int(image[y, x]) for y, x in np.argwhere(image).tolist()}


# --- normalize ------------------------------------------------------------------------------


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


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 4), (0, 4, 4), (1, 0, 4), (1, 4, 0)])
def test_frames_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"FRAMES has shape .*; expected frames, height, width"):
        normalize(np.zeros(shape, np.uint16), np.ones((1, 2), np.float32))


@pytest.mark.parametrize(("height", "width"), [(6, 8), (8, 6), (1, 1), (65, 64)])
def test_frames_that_the_network_cannot_halve_are_refused(height: int, width: int) -> None:
    with pytest.raises(ChunkError, match=f"is {height} x {width} pixels; expected multiples of 4"):
        normalize(np.zeros((1, height, width), np.uint16), np.ones((1, 2), np.float32))


def test_more_frames_than_a_request_may_hold_are_refused() -> None:
    most = contract.MAX_FRAMES_PER_CHUNK
    levels = np.ones((most + 1, 2), np.float32)
    frames = np.zeros((most + 1, 4, 4), np.uint16)
    assert len(normalize(frames[:most], levels[:most])) == most
    with pytest.raises(ChunkError, match="FRAMES holds 65 frames; expected at most 64: send small"):
        normalize(frames, levels)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 2), (2, 1), (2, 2, 1)])
def test_levels_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"LEVELS has shape .*; expected \(2, 2\)"):
        normalize(np.zeros((2, 4, 4), np.uint16), np.ones(shape, np.float32))


@pytest.mark.parametrize(
    "levels", [(math.nan, 1), (math.inf, 1), (0, math.nan), (0, math.inf), (0, 0), (0, -1)]
)
def test_levels_that_cannot_be_divided_by_are_refused(levels: tuple[float, float]) -> None:
    both = np.array([(100, 1), levels], np.float32)
    with pytest.raises(ChunkError, match="LEVELS must be finite with a positive scale"):
        normalize(np.zeros((2, 4, 4), np.uint16), both)


def test_what_outshines_molecules_is_limited() -> None:
    values = np.array([[100, 180], [65535, 260]], np.uint16).repeat(2, axis=0).repeat(2, axis=1)
    levels = np.array([[100, 10]], np.float32)
    found = normalize(values[None], levels)
    assert np.unique(found).tolist() == [0, 8, 16]
    assert NORMALIZED_MAX == 16


# --- draw -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zoom", "offset_y", "offset_x", "fine"),
    [
        (8, 0, 0, (28, 36)),  # (2 + 1) * 8 + floor(0.5 * 8), (3 + 1) * 8 + 4
        (8, -0.5, 0.49, (24, 39)),  # the first and the last fine pixel of the camera pixel
        (8, -0.51, 0.5, (23, 40)),  # the neighbouring camera pixels
        (8, -1, 1, (20, 44)),
        (5, 0, -0.1, (17, 22)),  # the middle one of five, and floor(0.4 * 5)
        (1, 0, 0, (3, 4)),
        (1, -0.6, 0.6, (2, 5)),
        (3, 0.2, -0.2, (11, 12)),  # floor(0.7 * 3) = 2, floor(0.3 * 3) = 0
    ],
)
def test_fine_pixel_by_hand(
    zoom: int, offset_y: float, offset_x: float, fine: tuple[int, int]
) -> None:
    detections = _detections(8, 8, (2, 3, 1, offset_y, offset_x))
    image = draw(detections, _window(zoom, 0, 0, 8, 8))
    assert image.dtype == np.int32
    assert image.shape == (10 * zoom, 10 * zoom)
    assert _drawn(image) == {fine: ONE}


@pytest.mark.parametrize(
    ("probability", "weight"),
    [
        (1, ONE),
        (0.5, ONE // 2),
        (1.5 / ONE, 2),  # halves go to the even number
        (2.5 / ONE, 2),
        (0.51 / ONE, 1),
        (0.49 / ONE, 0),
        (0, 0),
    ],
)
def test_weight_is_rounded_to_a_whole_number(probability: float, weight: int) -> None:
    image = draw(_detections(4, 4, (1, 1, probability, 0, 0)), _window(2, 0, 0, 4, 4))
    assert image.sum() == weight


def test_only_the_core_counts_and_is_drawn_from_its_own_corner() -> None:
    detections = _detections(
        12,
        16,
        (3, 5, 1, 0, 0),  # first pixel of the core
        (6, 9, 0.5, 0, 0),  # last pixel of the core
        (2, 5, 1, 0.9, 0),  # before it, although it points into it
        (7, 9, 1, -0.9, 0),  # after it
        (3, 10, 1, 0, -0.9),
    )
    image = draw(detections, _window(2, 3, 5, 4, 5))
    assert image.shape == (12, 14)
    assert _drawn(image) == {(3, 3): ONE, (9, 11): ONE // 2}


@pytest.mark.parametrize(
    ("row", "column", "offset_y", "offset_x", "fine"),
    [
        (0, 0, -1, -1, (4, 4)),
        (0, 7, -1, 1, (4, 76)),
        (7, 0, 1, -1, (76, 4)),
        (7, 7, 1, 1, (76, 76)),
    ],
)
def test_detections_that_point_out_of_the_core_land_in_the_margin(
    row: int, column: int, offset_y: float, offset_x: float, fine: tuple[int, int]
) -> None:
    detections = _detections(8, 8, (row, column, 1, offset_y, offset_x))
    assert _drawn(draw(detections, _window(8, 0, 0, 8, 8))) == {fine: ONE}


def test_offsets_beyond_the_contract_stay_in_the_image() -> None:
    detections = _detections(4, 4, (0, 0, 1, -9, -9), (3, 3, 1, 9, 9))
    drawn = _drawn(draw(detections, _window(4, 0, 0, 4, 4)))
    assert drawn == {(0, 0): ONE, (23, 23): ONE}


def test_the_largest_offsets_do_not_come_round_on_the_other_side() -> None:
    detections = _detections(4, 4, (0, 0, 1, -3e38, 3e38), (3, 3, 0.5, 3e38, -3e38))
    drawn = _drawn(draw(detections, _window(4, 0, 0, 4, 4)))
    assert drawn == {(0, 23): ONE, (23, 0): ONE // 2}


def test_frames_and_detections_at_one_place_add_up() -> None:
    detections = _detections(4, 4, (1, 1, 1, 0.6, 0), (2, 1, 0.25, -0.4, 0), frames=3)
    detections[2, 0, 1, 1] = 0.5
    image = draw(detections, _window(2, 0, 0, 4, 4))
    assert _drawn(image) == {(6, 5): ONE + ONE // 4, (5, 5): ONE // 2}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), zoom=st.integers(1, 16), frames=st.integers(1, 4))
def test_no_weight_is_lost(seed: int, zoom: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    detections = rng.uniform(-1, 1, (frames, 5, 12, 8)).astype(np.float32)
    detections[:, 0] = np.abs(detections[:, 0])
    image = draw(detections, _window(zoom, 4, 0, 8, 5))
    weights = np.rint(detections[:, 0, 4:12, 0:5].astype(np.float64) * ONE)
    assert image.sum(dtype=np.int64) == weights.sum()
    reordered = draw(detections[::-1], _window(zoom, 4, 0, 8, 5))
    np.testing.assert_array_equal(reordered, image)


def test_a_full_chunk_at_one_place_does_not_overflow() -> None:
    """64 frames in which nine neighbours point at the same fine pixel."""
    detections = np.zeros((contract.MAX_FRAMES_PER_CHUNK, 5, 4, 4), np.float32)
    detections[:, 0, :3, :3] = 1
    detections[:, 1, :3] = np.array([0.9, 0, -0.9])[:, None]
    detections[:, 2, :, :3] = np.array([0.9, 0, -0.9])
    image = draw(detections, _window(1, 0, 0, 4, 4))
    assert _drawn(image) == {(2, 2): 64 * 9 * ONE}


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_detections_that_make_no_sense_are_refused(channel: int, value: float) -> None:
    detections = np.zeros((2, 5, 4, 4), np.float32)
    detections[1, channel, 2, 3] = value
    with pytest.raises(ChunkError, match="not within 0 and 1, or an offset that is not a number"):
        draw(detections, _window(8, 0, 0, 4, 4))


def test_what_lies_outside_the_core_is_not_looked_at() -> None:
    detections = _detections(8, 8, (0, 0, math.nan, math.nan, math.nan))
    assert not draw(detections, _window(8, 4, 4, 4, 4)).any()


# --- window, shape, cut ---------------------------------------------------------------------


def test_window_becomes_plain_integers() -> None:
    values = check_window(_window(8, 1, 2, 3, 4), 4, 6)
    assert values == (8, 1, 2, 3, 4)
    assert {type(value) for value in values} == {int}


@pytest.mark.parametrize("shape", [(4,), (6,), (1, 5), ()])
def test_window_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"WINDOW has shape .*; expected \(5,\)"):
        check_window(np.ones(shape, np.int32), 8, 8)


@pytest.mark.parametrize(
    "window",
    [
        (8, 0, 0, 0, 12),
        (8, 0, 0, 8, 0),
        (8, 0, 0, -8, 12),
        (8, -1, 0, 8, 12),
        (8, 0, -1, 8, 12),
        (8, 1, 0, 8, 12),
        (8, 0, 1, 8, 12),
        (8, 0, 0, 12, 8),
        (8, 2**31 - 1, 0, 2**31 - 1, 1),
    ],
)
def test_window_outside_of_the_tile_is_refused(window: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"WINDOW .* does not lie in a tile of 8 x 12 pixels"):
        check_window(_window(*window), 8, 12)


@pytest.mark.parametrize("zoom", [0, -1, 65, 2**31 - 1])
def test_a_zoom_out_of_range_is_refused(zoom: int) -> None:
    with pytest.raises(ChunkError, match=rf"asks for zoom {zoom}; expected 1 to 64"):
        check_window(_window(zoom, 0, 0, 8, 12), 8, 12)


@pytest.mark.parametrize("probability", [-0.01, 1.01, 3e38])
def test_a_probability_out_of_range_is_refused(probability: float) -> None:
    detections = _detections(4, 4, (1, 1, probability, 0, 0))
    with pytest.raises(ChunkError, match="not within 0 and 1"):
        draw(detections, _window(8, 0, 0, 4, 4))


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


@pytest.mark.parametrize(
    ("count", "most", "chosen"),
    [(5, 9, [0, 1, 2, 3, 4]), (10, 4, [0, 3, 6, 9]), (1, 8, [0]), (100, 2, [0, 99])],
)
def test_a_sample_is_spread_evenly(count: int, most: int, chosen: list[int]) -> None:
    assert spread_evenly(count, most) == chosen
