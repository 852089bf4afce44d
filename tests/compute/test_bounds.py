"""The bounds of a request, on shapes alone: no memory is needed to refuse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.bounds import check_answers, check_frames, check_number
from smlm_pipeline.contract import DETECTION_ANSWER, MAP_ANSWER, Answer
from smlm_pipeline.errors import ChunkError

HUGE = 2**31 - 4
"""The largest multiple of four of 32 bits; its products overflow 64 bits."""


def _answers(count: int, height_px: int, width_px: int, answer: Answer) -> tuple[int, ...]:
    """Shape of the answers to so many frames of this size."""
    return (count, answer.channels, height_px * answer.zoom, width_px * answer.zoom)


def _refusal(check: Callable[..., None], *arguments: object) -> str:
    """The message of the error, or nothing."""
    try:
        check(*arguments)
    except ChunkError as error:
        return str(error)
    return ""


def _refused(count: int, height_px: int, width_px: int, answer: Answer) -> str:
    """What both models of an ensemble say, without the tensor's name."""
    frames = (count, height_px, width_px)
    by_network = _refusal(check_frames, frames, (count, 2), answer)
    by_summation = _refusal(check_answers, _answers(*frames, answer), answer)
    said = by_network.removeprefix("FRAMES")
    assert said == by_summation.removeprefix(answer.name)
    return said


@pytest.mark.parametrize("answer", contract.ANSWERS)
@pytest.mark.parametrize("size_px", [(16, 16), (16, 24), (64, 64), (256, 128), (512, 512)])
def test_as_many_frames_as_the_contract_allows(answer: Answer, size_px: tuple[int, int]) -> None:
    most = answer.frames_most(*size_px)
    assert not _refused(most, *size_px, answer)
    assert f"and {most + 1} frames; expected at most {most} frames" in _refused(
        most + 1, *size_px, answer
    )


def test_the_bounds_by_hand() -> None:
    assert DETECTION_ANSWER.frames_most(512, 512) == 16
    assert DETECTION_ANSWER.frames_most(64, 64) == contract.MAX_FRAMES == 1024
    assert DETECTION_ANSWER.frames_most(16, 16) == 1024
    assert DETECTION_ANSWER.frames_most(68, 16) == 256
    assert MAP_ANSWER.frames_most(512, 512) == 2
    assert MAP_ANSWER.frames_most(64, 64) == MAP_ANSWER.frames_most(16, 16) == 128


@pytest.mark.parametrize("answer", contract.ANSWERS)
@pytest.mark.parametrize("size", [(0, 16, 16), (1, 0, 16), (1, 16, 0), (0, 0, 0)])
def test_nothing_is_refused(answer: Answer, size: tuple[int, int, int]) -> None:
    assert "expected at least one of each" in _refused(*size, answer)


@pytest.mark.parametrize("answer", contract.ANSWERS)
@pytest.mark.parametrize("size_px", [(6, 8), (8, 6), (1, 1), (65, 64), (511, 512)])
def test_edges_that_the_network_cannot_halve_are_refused(
    answer: Answer, size_px: tuple[int, int]
) -> None:
    height_px, width_px = size_px
    words = f"is of {height_px} x {width_px} camera pixels; expected multiples of 4: pad the tile"
    assert words in _refused(1, *size_px, answer)


@pytest.mark.parametrize("answer", contract.ANSWERS)
@pytest.mark.parametrize("size_px", [(516, 16), (16, 516), (HUGE, 16), (HUGE, HUGE)])
def test_edges_beyond_the_largest_tile_are_refused(
    answer: Answer, size_px: tuple[int, int]
) -> None:
    assert "expected edges of at most 512: cut smaller tiles" in _refused(1, *size_px, answer)


@pytest.mark.parametrize("answer", contract.ANSWERS)
@pytest.mark.parametrize("size_px", [(12, 16), (16, 12), (4, 4), (4, 512)])
def test_edges_below_the_smallest_frame_are_refused(
    answer: Answer, size_px: tuple[int, int]
) -> None:
    height_px, width_px = size_px
    words = f"is of {height_px} x {width_px} camera pixels; expected edges of at least 16"
    assert words in _refused(1, *size_px, answer)


@pytest.mark.parametrize("answer", contract.ANSWERS)
@pytest.mark.parametrize("count", [1025, HUGE, 2**62, 2**64])
def test_no_number_of_frames_wraps_round(answer: Answer, count: int) -> None:
    """2^64 frames of 256 pixels would be none in integers of the machine."""
    most = answer.frames_most(16, 16)
    assert f"{count} frames; expected at most {most} frames of" in _refused(count, 16, 16, answer)


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (1, 1, 4, 4), (1, 4, 4, 2, 1)])
def test_frames_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"FRAMES has shape .*; expected frames, height, width"):
        check_frames(shape, (1, 2), DETECTION_ANSWER)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 2), (2, 1), (2, 2, 1)])
def test_levels_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"LEVELS has shape .*; expected \(2, 2\)"):
        check_frames((2, 16, 16), shape, DETECTION_ANSWER)


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ((1, 4, 16, 16), DETECTION_ANSWER),
        ((1, 1, 16, 16), DETECTION_ANSWER),
        ((5, 16, 16), DETECTION_ANSWER),
        ((1, 5, 16, 16, 1), DETECTION_ANSWER),
        ((1, 5, 64, 64), MAP_ANSWER),
        ((), MAP_ANSWER),
    ],
)
def test_answers_of_another_form_are_refused(shape: tuple[int, ...], answer: Answer) -> None:
    words = f"{answer.name} has shape .*; expected frames, {answer.channels} channels, height, wid"
    with pytest.raises(ChunkError, match=words):
        check_answers(shape, answer)


@pytest.mark.parametrize("size", [(36, 32), (32, 33), (4, 4)])
def test_maps_of_broken_camera_pixels_are_refused(size: tuple[int, int]) -> None:
    words = f"MAP is {size[0]} x {size[1]} SR pixels; expected multiples of 8"
    with pytest.raises(ChunkError, match=words):
        check_answers((1, 1, *size), MAP_ANSWER)


@pytest.mark.parametrize(
    "number",
    [
        np.zeros(0, np.int32),
        np.zeros(1, np.int32),
        np.zeros((1, 2), np.int32),
        np.zeros(2, np.int64),
        np.zeros(2, np.float32),
    ],
)
def test_a_number_of_another_kind_is_refused(number: NDArray[Any]) -> None:
    check_number("REQUEST", np.zeros(2, np.int32))
    with pytest.raises(ChunkError, match=r"REQUEST is \(.*; expected \(2,\) int32"):
        check_number("REQUEST", number)
