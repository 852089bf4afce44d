"""The image drawn from detections, by hand-computed values."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes.sums import image, lit
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import DRAWN_FROM, draw
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ChunkError

ONE = contract.WEIGHT_ONE
NO_BORDERS = np.zeros(3, np.float32)


def _detections(
    height_px: int,
    width_px: int,
    *emitters: tuple[int, int, float, float, float],
    frames: int = 1,
) -> NDArray[np.float32]:
    """Detections in frame 0, zero but for (row, column, probability, offset y, offset x)."""
    detections = np.zeros((frames, 7, height_px, width_px), np.float32)
    for row, column, *values in emitters:
        detections[0, :3, row, column] = values
    return detections


def _draw(detections: NDArray[np.float32], window: Window) -> SparseSums:
    return draw(detections, window.as_tensor(), NO_BORDERS)


def _drawn(detections: NDArray[np.float32], window: Window) -> dict[tuple[int, ...], int]:
    """The sums of the SR pixels that are not zero."""
    return lit(_draw(detections, window), window)


@pytest.mark.parametrize(
    ("zoom", "offset_y", "offset_x", "sr_pixel"),
    [
        (8, 0, 0, (28, 36)),  # (2 + 1) * 8 + floor(0.5 * 8), (3 + 1) * 8 + 4
        (8, -0.5, 0.49, (24, 39)),  # the first and the last SR pixel of the camera pixel
        (8, -0.51, 0.5, (23, 40)),  # the neighbouring camera pixels
        (8, -1, 1, (20, 44)),
        (5, 0, -0.1, (17, 22)),  # the middle one of five, and floor(0.4 * 5)
        (1, 0, 0, (3, 4)),
        (1, -0.6, 0.6, (2, 5)),
        (3, 0.2, -0.2, (11, 12)),  # floor(0.7 * 3) = 2, floor(0.3 * 3) = 0
    ],
)
def test_sr_pixel_by_hand(
    zoom: int, offset_y: float, offset_x: float, sr_pixel: tuple[int, int]
) -> None:
    detections = _detections(8, 8, (2, 3, 1, offset_y, offset_x))
    window = Window(zoom, 0, 0, 8, 8)
    assert image(_draw(detections, window), window).shape == (10 * zoom, 10 * zoom)
    assert _drawn(detections, window) == {sr_pixel: ONE}


def _weights(probability: NDArray[np.float32]) -> NDArray[np.float64]:
    drawn = np.where(probability > DRAWN_FROM, probability.astype(np.float64), 0)
    weights: NDArray[np.float64] = np.rint(drawn * ONE)
    return weights


@pytest.mark.parametrize(
    ("probability", "weight"),
    [
        (1, ONE),
        (0.5, ONE // 2),
        (101.5 / ONE, 102),  # halves go to the even number
        (102.5 / ONE, 102),
        (100.51 / ONE, 101),
        (100.49 / ONE, 100),
        (np.nextafter(DRAWN_FROM, np.float32(1)), 32),
        (DRAWN_FROM, 0),
        (0, 0),
    ],
)
def test_weight_is_rounded_to_a_whole_number(probability: float, weight: int) -> None:
    sums = _draw(_detections(4, 4, (1, 1, probability, 0, 0)), Window(2, 0, 0, 4, 4))
    assert sums.weight.tolist() == ([weight] if weight else [])


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
    window = Window(2, 3, 5, 4, 5)
    assert window.shape == (1, 12, 14)
    assert _drawn(detections, window) == {(3, 3): ONE, (9, 11): ONE // 2}


@pytest.mark.parametrize(
    ("row", "column", "offset_y", "offset_x", "sr_pixel"),
    [
        (0, 0, -1, -1, (4, 4)),
        (0, 7, -1, 1, (4, 76)),
        (7, 0, 1, -1, (76, 4)),
        (7, 7, 1, 1, (76, 76)),
    ],
)
def test_detections_that_point_out_of_the_core_land_in_the_margin(
    row: int, column: int, offset_y: float, offset_x: float, sr_pixel: tuple[int, int]
) -> None:
    detections = _detections(8, 8, (row, column, 1, offset_y, offset_x))
    assert _drawn(detections, Window(8, 0, 0, 8, 8)) == {sr_pixel: ONE}


@pytest.mark.parametrize("offset_px", [1.001, -1.001, 9, -9, 3e38, -3e38])
@pytest.mark.parametrize("axis", ["y", "x"])
def test_offsets_beyond_the_contract_are_refused(offset_px: float, axis: str) -> None:
    """They would leave the image, or come round on its other side."""
    offsets_px = (offset_px, 0.0) if axis == "y" else (0.0, offset_px)
    detections = _detections(4, 4, (2, 1, 0.5, *offsets_px))
    with pytest.raises(ChunkError, match="with an offset beyond 1 px"):
        _draw(detections, Window(4, 0, 0, 4, 4))


def test_frames_and_detections_at_one_place_add_up() -> None:
    detections = _detections(4, 4, (1, 1, 1, 0.6, 0), (2, 1, 0.25, -0.4, 0), frames=3)
    detections[2, 0, 1, 1] = 0.5
    assert _drawn(detections, Window(2, 0, 0, 4, 4)) == {(6, 5): ONE + ONE // 4, (5, 5): ONE // 2}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), zoom=st.integers(1, 16), frames=st.integers(1, 4))
def test_no_drawn_weight_is_lost(seed: int, zoom: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    detections = rng.uniform(-1, 1, (frames, 7, 12, 8)).astype(np.float32)
    detections[:, 0] = np.abs(detections[:, 0])
    before = detections.copy()
    window = Window(zoom, 4, 0, 8, 5)
    sums = _draw(detections, window)
    weights = _weights(detections[:, 0, 4:12, 0:5])
    assert sums.weight.sum() == weights.sum()
    np.testing.assert_array_equal(detections, before)
    reordered = _draw(detections[::-1], window)
    np.testing.assert_array_equal(image(reordered, window), image(sums, window))


def test_a_full_chunk_at_one_place_does_not_overflow() -> None:
    """All frames of a request, in which nine neighbours point at the same SR pixel."""
    detections = np.zeros((contract.MAX_FRAMES, 7, 4, 4), np.float32)
    detections[:, 0, :3, :3] = 1
    detections[:, 1, :3] = np.array([0.9, 0, -0.9])[:, None]
    detections[:, 2, :, :3] = np.array([0.9, 0, -0.9])
    drawn = _drawn(detections, Window(1, 0, 0, 4, 4))
    assert drawn == {(2, 2): contract.MAX_FRAMES * 9 * ONE}


@pytest.mark.parametrize(("zoom", "width_px"), [(1, 8), (8, 8), (8, 40), (31, 4), (32, 10)])
def test_each_sr_pixel_is_stated_once_and_in_order(zoom: int, width_px: int) -> None:
    """At the ends of the words of 64 pixels that are searched at once, too."""
    rng = np.random.default_rng(7)
    detections = rng.uniform(-1, 1, (9, 7, 12, width_px)).astype(np.float32)
    detections[:, 0] = np.abs(detections[:, 0])
    detections[:, 3:5] = np.abs(detections[:, 3:5]) + np.float32(0.01)
    window = Window(zoom, 0, 0, 12, width_px, classes=2)
    sums = draw(detections, window.as_tensor(), np.array([0.5, 0, 0], np.float32))
    assert (np.diff(sums.index) > 0).all()
    assert (sums.weight > 0).all()
    row, column = (np.arange(size, dtype=np.float32)[:, None] for size in (12, width_px))
    offset_y, offset_x = (
        (detections[:, axis] + np.float32(0.5)) * np.float32(zoom) for axis in (1, 2)
    )
    expected = np.zeros(window.shape, np.int64)
    spread = detections[:, 3] ** 2 + detections[:, 4] ** 2
    place = (
        (spread > 0.5).astype(int),
        (zoom * (row + 1) + np.floor(offset_y)).astype(int),
        (zoom * (column.T + 1) + np.floor(offset_x)).astype(int),
    )
    np.add.at(expected, place, _weights(detections[:, 0]).astype(np.int64))
    np.testing.assert_array_equal(image(sums, window), expected)


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_detections_that_make_no_sense_are_refused(channel: int, value: float) -> None:
    detections = np.zeros((2, 7, 4, 4), np.float32)
    detections[1, 0, 2, 3] = 0.5
    detections[1, channel, 2, 3] = value
    with pytest.raises(ChunkError, match="not within 0 and 1, with an offset beyond 1 px, or"):
        _draw(detections, Window(8, 0, 0, 4, 4))


@pytest.mark.parametrize("probability", [-0.01, 1.01, 3e38, -3e38])
def test_a_probability_out_of_range_is_refused(probability: float) -> None:
    detections = _detections(4, 4, (1, 1, probability, 0, 0))
    with pytest.raises(ChunkError, match="not within 0 and 1"):
        _draw(detections, Window(8, 0, 0, 4, 4))


def test_what_is_not_drawn_is_not_looked_at() -> None:
    """Outside of the core, and where no emitter is."""
    detections = _detections(8, 8, (0, 0, math.nan, math.nan, math.nan), (5, 5, 0, math.nan, 9))
    assert not _drawn(detections, Window(8, 4, 4, 4, 4))


# --- precision classes ------------------------------------------------------------------------

BORDERS_PX = {1: (), 2: (0.2,), 3: (0.1, 0.3), 4: (0.1, 0.2, 0.4)}


def _borders(classes: int) -> NDArray[np.float32]:
    """The borders, and behind them what does not count."""
    return np.array([*BORDERS_PX[classes], *[math.nan] * (4 - classes)], np.float32)


@pytest.mark.parametrize(
    ("sigma_y_px", "sigma_x_px", "expected"),
    [
        (0.05, 0.05, 0),
        (0.1, 0.1, 0),  # a border is not below itself
        (0.1, 0.1001, 1),
        (0.01, 0.141, 0),  # the root mean square is 0.09995
        (0.01, 0.142, 1),
        (0.142, 0.01, 1),
        (0.2, 0.2, 1),
        (0.25, 0.3, 2),
        (0.4, 0.4, 2),
        (0.41, 0.4, 3),
        (9, 0.01, 3),
        (1e19, 1e18, 3),
    ],
)
def test_a_class_by_hand(sigma_y_px: float, sigma_x_px: float, expected: int) -> None:
    detections = _detections(4, 4, (1, 2, 0.5, 0, 0))
    detections[:, 3], detections[:, 4] = sigma_y_px, sigma_x_px
    window = Window(2, 0, 0, 4, 4, classes=4)
    sums = draw(detections, window.as_tensor(), _borders(4))
    assert lit(sums, window) == {(expected, 5, 7): ONE // 2}


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    zoom=st.integers(1, 9),
    frames=st.integers(1, 4),
    classes=st.sampled_from([2, 3, 4]),
)
def test_the_classes_add_up_to_the_image_of_one_class(
    seed: int, zoom: int, frames: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    detections = rng.uniform(-1, 1, (frames, 7, 12, 8)).astype(np.float32)
    detections[:, 0] = np.abs(detections[:, 0])
    detections[:, 3:] = np.exp(rng.uniform(-4, 1, (frames, 4, 12, 8)))
    one = Window(zoom, 2, 1, 9, 6)
    several = dataclasses.replace(one, classes=classes)
    whole = image(_draw(detections, one), one)
    by_class = image(draw(detections, several.as_tensor(), _borders(classes)), several)
    assert by_class.shape == (classes, *whole.shape)
    np.testing.assert_array_equal(by_class.sum(axis=0), whole)
    spread_px = np.sqrt((detections[:, 3:5].astype(float) ** 2).mean(axis=1))[:, 2:11, 1:7]
    weights = _weights(detections[:, 0, 2:11, 1:7])
    found = np.searchsorted(np.array(BORDERS_PX[classes]), spread_px)
    assert by_class.sum(axis=(1, 2)).tolist() == [
        weights[found == each].sum() for each in range(classes)
    ]


@pytest.mark.parametrize("channel", [3, 4])
@pytest.mark.parametrize("sigma_px", [0, -0.1, math.nan, math.inf, -math.inf, 3e38])
def test_a_sigma_that_is_no_positive_number_has_no_class(channel: int, sigma_px: float) -> None:
    detections = _detections(4, 4, (1, 2, 0.5, 0, 0))
    detections[:, 3:] = 0.1
    detections[:, channel] = sigma_px
    window = Window(2, 0, 0, 4, 4, classes=2)
    with pytest.raises(ChunkError, match="with a sigma that is not a positive number"):
        draw(detections, window.as_tensor(), _borders(2))


def test_borders_that_do_not_ascend_are_refused() -> None:
    window = Window(2, 0, 0, 4, 4, classes=3)
    borders_px = np.array([0.3, 0.1, 0], np.float32)
    with pytest.raises(ChunkError, match=r"CLASS_BORDERS are \[0.3.*; expected ascending numbers"):
        draw(_detections(4, 4), window.as_tensor(), borders_px)
