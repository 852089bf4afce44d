"""Molecules that shine for several frames change neither the scale nor where it steps."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import frame_backgrounds, scale_segments
from smlm_pipeline.compute.persistence import independent_distance

EDGE_PX, SIGMA_PX, PEAK_ADU, OFFSET_ADU = 40, 1.2, 900.0, 200.0
DUTY = 0.01
"""Share of the time in which a place shines; it lowers the scale by twice as much."""


def _blinking(on_frames: float, frames: int, seed: int = 1) -> NDArray[np.float64]:
    """Light of a film (T, Y, X) whose molecules shine for ``on_frames`` frames on average."""
    rng = np.random.default_rng(seed)
    sites = 800
    profile = np.exp(
        -0.5 * ((np.arange(EDGE_PX) - rng.uniform(0, EDGE_PX, (2, sites, 1))) / SIGMA_PX) ** 2
    )
    shines = np.empty((frames, sites))
    state = rng.random(sites) < DUTY
    leaves, comes = 1 / on_frames, DUTY / (1 - DUTY) / on_frames
    for row in shines:
        row[:] = state
        chance = rng.random(sites)
        state = np.where(state, chance >= leaves, chance < comes)
    light_adu: NDArray[np.float64] = np.einsum("ts,sy,sx->tyx", shines, *profile, optimize=True)
    return PEAK_ADU * light_adu


def _film(light_adu: NDArray[np.float64], seed: int = 2) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    noisy = OFFSET_ADU + rng.poisson(light_adu) + rng.normal(0, 20, light_adu.shape)
    return np.clip(noisy, 0, 65535).astype(np.uint16)


def _distance(frames_adu: NDArray[np.uint16]) -> int:
    return _found(frames_adu)[0]


def _found(frames_adu: NDArray[np.uint16]) -> tuple[int, bool]:
    return independent_distance(
        frames_adu,
        frame_backgrounds(frames_adu.reshape(len(frames_adu), -1)),
        np.ones(frames_adu.shape[1:], bool),
        np.arange(len(frames_adu)),
    )


def _scales(frames_adu: NDArray[np.uint16]) -> list[float]:
    segments = scale_segments(
        frames_adu,
        frame_backgrounds(frames_adu.reshape(len(frames_adu), -1)),
        np.ones(frames_adu.shape[1:], bool),
        np.ones(len(frames_adu), bool),
    )
    return [segment.scale_adu for segment in segments]


@pytest.mark.parametrize("on_frames", [1, 2, 4, 8])
def test_scale_does_not_depend_on_how_long_molecules_shine(on_frames: float) -> None:
    (scale_adu,) = _scales(_film(_blinking(on_frames, 400)))
    (alone_adu,) = _scales(_film(_blinking(1, 400)))
    assert scale_adu == pytest.approx(alone_adu, rel=0.13)


@pytest.mark.parametrize(("on_frames", "least", "most"), [(2, 2, 8), (4, 8, 16), (8, 16, 32)])
def test_distance_is_a_few_times_as_long_as_molecules_shine(
    on_frames: float, least: int, most: int
) -> None:
    assert least <= _distance(_film(_blinking(on_frames, 400))) <= most


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 400])
def test_frames_that_show_other_molecules_are_independent(frames: int) -> None:
    assert _distance(_film(_blinking(1, frames))) == 1


def test_noise_alone_and_a_constant_film_are_independent() -> None:
    assert _distance(_film(np.zeros((200, 24, 24)))) == 1
    assert _distance(np.full((200, 24, 24), 7, np.uint16)) == 1


def test_a_film_that_bleaches_or_steps_or_alternates_is_no_film_of_molecules_that_persist() -> None:
    light_adu = _blinking(1, 400)
    time = np.arange(400)[:, None, None]
    assert _distance(_film(light_adu * np.exp(-time / 300))) == 1
    assert _distance(_film(np.where(time < 200, light_adu, 2 * light_adu))) == 1
    assert _distance(_film(np.where(time % 2, light_adu, 0.4 * light_adu))) == 1
    assert _distance(_film(light_adu + 300 * (1 + np.sin(time / 5)))) == 1


def test_a_step_is_found_though_molecules_persist() -> None:
    light_adu = _blinking(4, 500)
    light_adu[250:] *= 2
    low_adu, high_adu = _scales(_film(light_adu))
    assert high_adu == pytest.approx(2 * low_adu, rel=0.25)


def test_molecules_that_persist_make_no_step() -> None:
    for seed in range(3):
        assert len(_scales(_film(_blinking(8, 500, seed)))) == 1


@pytest.mark.parametrize(("on_frames", "frames"), [(1, 16), (1, 400), (2, 100), (8, 400)])
def test_films_long_enough_to_tell(on_frames: float, frames: int) -> None:
    assert _found(_film(_blinking(on_frames, frames)))[1]


@pytest.mark.parametrize(("on_frames", "frames"), [(1, 3), (1, 15), (8, 24), (16, 60)])
def test_films_too_short_to_tell(on_frames: float, frames: int) -> None:
    assert not _found(_film(_blinking(on_frames, frames)))[1]
