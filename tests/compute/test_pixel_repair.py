"""Faulty pixels are replaced by values that were computed by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.pixel_faults import PixelFaults
from smlm_pipeline.compute.pixel_repair import EDGE_PX, PixelRepair

SHAPE = 12, 14


def _repair(away: NDArray[np.bool_], fill_adu: int | None = None) -> PixelRepair:
    none = np.zeros_like(away)
    return PixelRepair.of(PixelFaults(none, away, none, fill_adu))


def _frames(count: int = 2) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(50, 200, (count, *SHAPE), np.uint16)


def _dark(*values: int) -> NDArray[np.uint16]:
    return np.array(values, np.uint16)


def test_nothing_to_replace_is_the_same_array() -> None:
    frames_adu = _frames()
    assert _repair(np.zeros(SHAPE, bool)).apply(frames_adu, _dark(1, 2)) is frames_adu


def test_a_single_pixel_is_the_weighted_mean_of_24_neighbours() -> None:
    away = np.zeros(SHAPE, bool)
    away[5, 6] = True
    repair, frames_adu = _repair(away), _frames()
    assert not repair.blank.any()
    repaired_adu = repair.apply(frames_adu, _dark(1, 2))
    for before, after in zip(frames_adu, repaired_adu, strict=True):
        near = [
            (1 / (y * y + x * x) ** 2, float(before[5 + y, 6 + x]))
            for y in range(-2, 3)
            for x in range(-2, 3)
            if (y, x) != (0, 0)
        ]
        mean = sum(weight * value for weight, value in near) / sum(weight for weight, _ in near)
        assert abs(int(after[5, 6]) - mean) <= 0.51
    np.testing.assert_array_equal(repaired_adu[:, ~away], frames_adu[:, ~away])


def test_other_faulty_pixels_are_no_neighbours() -> None:
    away = np.zeros(SHAPE, bool)
    away[3] = away[:, 4] = away[8, 8] = True
    frames_adu = np.full((1, *SHAPE), 70, np.uint16)
    frames_adu[:, away] = 65535
    repair = _repair(away)
    assert not repair.blank.any()
    assert (repair.apply(frames_adu, _dark(1)) == 70).all()


def test_pixels_in_the_corner() -> None:
    away = np.zeros(SHAPE, bool)
    away[0, 0] = away[-1, -1] = True
    frames_adu = np.full((1, *SHAPE), 70, np.uint16)
    frames_adu[:, away] = 0
    repaired_adu = _repair(away).apply(frames_adu, _dark(1))
    shown = ~_repair(away).blank
    assert (repaired_adu[0][shown] == 70).all()


def test_a_wide_area_repeats_the_edge_and_is_dark_beyond() -> None:
    away = np.zeros(SHAPE, bool)
    away[:, 8:] = True
    repair, frames_adu = _repair(away), _frames()
    repaired_adu = repair.apply(frames_adu, _dark(7, 9))
    np.testing.assert_array_equal(repair.blank, away)
    for column in range(8, 8 + EDGE_PX):
        np.testing.assert_array_equal(repaired_adu[:, :, column], frames_adu[:, :, 7])
    beyond = repaired_adu[:, :, 8 + EDGE_PX :]
    assert (beyond[0] == 7).all()
    assert (beyond[1] == 9).all()


def test_rows_at_the_edge_of_the_frame_are_blank_and_single_rows_inside_are_not() -> None:
    away = np.zeros(SHAPE, bool)
    away[0] = away[5] = True
    blank = np.zeros(SHAPE, bool)
    blank[0] = True
    np.testing.assert_array_equal(_repair(away).blank, blank)


def test_a_faulty_pixel_beside_a_wide_area_is_not_its_edge() -> None:
    """The edge repeats the repaired value, never the faulty one."""
    away = np.zeros(SHAPE, bool)
    away[:, 9:] = away[5, 7] = True
    frames_adu = np.full((1, *SHAPE), 70, np.uint16)
    frames_adu[:, away] = 65535
    repaired_adu = _repair(away).apply(frames_adu, _dark(60))
    assert set(np.unique(repaired_adu).tolist()) == {60, 70}


def test_the_fill_value_becomes_dark_in_each_frame() -> None:
    frames_adu = _frames()
    frames_adu[0, :3] = frames_adu[1, 9:] = 0
    repaired_adu = _repair(np.zeros(SHAPE, bool), 0).apply(frames_adu, _dark(7, 9))
    assert (repaired_adu[0, :3] == 7).all()
    assert (repaired_adu[1, 9:] == 9).all()
    np.testing.assert_array_equal(repaired_adu[0, 3:], frames_adu[0, 3:])


def test_all_pixels_are_faulty() -> None:
    repair = _repair(np.ones(SHAPE, bool))
    assert repair.blank.all()
    assert (repair.apply(_frames(), _dark(7, 7)) == 7).all()


def test_frames_are_not_changed() -> None:
    away = np.zeros(SHAPE, bool)
    away[:, 8:] = away[2, 2] = True
    frames_adu = _frames()
    before = frames_adu.copy()
    _repair(away, 60).apply(frames_adu, _dark(7, 9))
    np.testing.assert_array_equal(frames_adu, before)
