"""Frames are grouped by time, background and light; frames without structure are dark."""

from __future__ import annotations

import numpy as np

from fakes.films import noise_adu, spots_adu
from smlm_pipeline.compute.frame_kinds import alike, frames_with_structure, mean_light, windows
from smlm_pipeline.compute.levels import frame_backgrounds


def test_windows_are_about_equal() -> None:
    assert windows(100, 32) == [(0, 33), (33, 67), (67, 100)]
    assert windows(31, 32) == [(0, 31)]
    assert windows(0, 32) == [(0, 0)]


def test_light_is_the_mean_of_usable_pixels_above_the_background() -> None:
    film_adu = np.array([[[10, 20], [30, 99]], [[0, 0], [0, 99]]], np.uint16)
    usable = np.array([[True, True], [True, False]])
    light_adu = mean_light(film_adu, np.array([5, 0], np.float32), usable, np.array([1, 0]))
    np.testing.assert_allclose(light_adu, [0, 15], rtol=1e-6)


def test_light_where_no_pixel_is_usable() -> None:
    none = np.zeros((4, 4), bool)
    film_adu = np.full((1, 4, 4), 9, np.uint16)
    assert mean_light(film_adu, np.array([5], np.float32), none, np.array([0])).tolist() == [0]


def test_every_frame_is_in_one_group() -> None:
    rng = np.random.default_rng(0)
    backgrounds_adu = rng.normal(100, 5, 150).astype(np.float32)
    groups = alike(backgrounds_adu, rng.normal(20, 3, 150).astype(np.float32))
    assert sorted(np.concatenate(groups).tolist()) == list(range(150))
    assert all(16 <= len(group) < 32 for group in groups)


def test_two_colours_are_two_groups() -> None:
    backgrounds_adu = np.tile(np.array([100, 180], np.float32), 16)
    groups = alike(backgrounds_adu, np.zeros(32, np.float32))
    assert sorted(sorted(group.tolist()) for group in groups) == [
        list(range(0, 32, 2)),
        list(range(1, 32, 2)),
    ]


def test_few_frames_of_another_kind_stay_with_the_others() -> None:
    """Three pulses in 32 frames are too few for a mean of their own."""
    backgrounds_adu = np.full(32, 100, np.float32)
    backgrounds_adu[[3, 13, 23]] = 500
    assert len(alike(backgrounds_adu, np.zeros(32, np.float32))) == 2


def test_sparse_frames_are_not_dark_because_others_are_dense() -> None:
    """Of a film that bleaches: what is usual is what is usual at the time."""
    film_adu = np.concatenate([spots_adu(70, 40, 40, spots=30), spots_adu(70, 40, 40, spots=2)])
    backgrounds_adu = frame_backgrounds(film_adu.reshape(140, -1))
    found = frames_with_structure(film_adu, backgrounds_adu, np.ones((40, 40), bool))
    assert found.mean() > 0.97


def test_structure_in_unusable_pixels_does_not_count() -> None:
    film_adu = noise_adu(40, 40, 40)
    film_adu[::2] = spots_adu(20, 40, 40, spots=6)
    usable = np.zeros((40, 40), bool)
    usable[:, :20] = True
    film_adu[1::2, :, 20:] = spots_adu(20, 40, 20, spots=20)
    found = frames_with_structure(
        film_adu, frame_backgrounds(film_adu[:, :, :20].reshape(40, -1)), usable
    )
    assert not found[1::2].any()
    assert found[::2].mean() > 0.8
