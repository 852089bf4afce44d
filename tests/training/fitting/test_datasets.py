"""Training batches: the same for the same seed, and true to the films they come from."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.training_ranges import only
from smlm_training.fitting.datasets import (
    Batch,
    TrainingFilm,
    batches,
    block_batches,
    inside_first,
    random_film,
)
from smlm_training.fitting.ranges import Ranges
from smlm_training.simulation.simulate import Emitters, Film

RANGES = Ranges(patch_px=16, frames_per_film=3, emitters_max=60)
SEED = 5
BATCH = 4


def _batches(seed: int, count: int, first_block: int = 0) -> list[Batch]:
    stream = batches(RANGES, seed=seed, batch=BATCH, first_block=first_block)
    return list(islice(stream, count))


def _assert_same(batch: Batch, other: Batch) -> None:
    np.testing.assert_array_equal(batch.normalized, other.normalized)
    np.testing.assert_array_equal(batch.position_px, other.position_px)
    np.testing.assert_array_equal(batch.present, other.present)
    np.testing.assert_array_equal(batch.intensity, other.intensity)


def _film(block: int, index: int) -> TrainingFilm:
    return random_film(np.random.default_rng([SEED, block, index]), RANGES)


def _films(ranges: Ranges, count: int) -> list[Film]:
    return [random_film(np.random.default_rng([9, index]), ranges).film for index in range(count)]


def _inside_per_frame(films: list[Film], size_px: int) -> NDArray[np.int64]:
    inside = np.concatenate([film.emitters.inside(size_px, size_px).sum(axis=1) for film in films])
    counts: NDArray[np.int64] = inside.astype(np.int64)
    return counts


def test_same_seed_gives_the_same_batches() -> None:
    for batch, again in zip(_batches(SEED, 5), _batches(SEED, 5), strict=True):
        _assert_same(batch, again)


def test_other_seed_and_other_block_give_other_batches() -> None:
    (first,) = _batches(SEED, 1)
    (other_seed,) = _batches(SEED + 1, 1)
    (other_block,) = _batches(SEED, 1, first_block=1)
    assert (first.normalized != other_seed.normalized).mean() > 0.9
    assert (first.normalized != other_block.normalized).mean() > 0.9


def test_going_on_at_a_block_gives_what_an_unbroken_stream_gives() -> None:
    unbroken = _batches(SEED, 3 * RANGES.frames_per_film)
    resumed = _batches(SEED, RANGES.frames_per_film, first_block=2)
    for batch, again in zip(unbroken[2 * RANGES.frames_per_film :], resumed, strict=True):
        _assert_same(batch, again)


@pytest.mark.parametrize("block", [0, 7])
def test_each_batch_of_a_block_holds_one_frame_of_each_film(block: int) -> None:
    made = list(block_batches(RANGES, seed=SEED, batch=BATCH, block=block))
    assert len(made) == RANGES.frames_per_film
    for index in range(BATCH):
        made_film = _film(block, index)
        shown_adu, levels_adu = made_film.conditioning.apply(made_film.film.frames_adu, 0)
        for frame, batch in enumerate(made):
            background_adu, scale_adu = levels_adu[frame]
            np.testing.assert_allclose(
                batch.normalized[index, :, :, 0],
                (shown_adu[frame] - background_adu) / scale_adu,
                rtol=1e-5,
                atol=1e-5,
            )


def test_molecules_of_a_batch_are_those_inside_the_patch() -> None:
    made = list(block_batches(RANGES, seed=SEED, batch=BATCH, block=3))
    found = 0
    for index in range(BATCH):
        film = _film(3, index)
        emitters = film.film.emitters
        inside = emitters.inside(RANGES.patch_px, RANGES.patch_px)
        inside &= emitters.photons >= film.faintest_photons
        y, x = (
            np.clip(places, 0, RANGES.patch_px - 1).astype(int)
            for places in (emitters.y_px, emitters.x_px)
        )
        inside &= ~film.conditioning.blank[y, x]
        gain_over_scale = film.adu_per_photon / film.conditioning.segments[0].scale_adu
        for frame, batch in enumerate(made):
            taken = batch.present[index] > 0
            here = inside[frame]
            truth = np.stack([emitters.y_px[frame, here], emitters.x_px[frame, here]], axis=1)
            assert taken.sum() == here.sum() <= RANGES.emitters_max
            np.testing.assert_array_equal(batch.position_px[index, taken], truth.astype(np.float32))
            np.testing.assert_allclose(
                batch.intensity[index, taken],
                emitters.photons[frame, here] * gain_over_scale,
                rtol=1e-5,
            )
            assert not batch.intensity[index, ~taken].any()
            found += int(here.sum())
    assert found > 20


def test_shapes_types_and_finite_values() -> None:
    for batch in _batches(SEED, 12):
        assert batch.normalized.shape == (BATCH, 16, 16, 1)
        assert batch.position_px.shape == (BATCH, RANGES.emitters_max, 2)
        assert batch.present.shape == batch.intensity.shape == (BATCH, RANGES.emitters_max)
        for values in vars(batch).values():
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
        assert set(np.unique(batch.present)) <= {0, 1}
        placed = batch.position_px[batch.present > 0]
        assert placed.min(initial=0) >= 0
        assert placed.max(initial=0) <= 16


def test_normalized_frames_are_on_one_scale() -> None:
    """The brightest pixels of dim and of bright films are some molecules high."""
    bright = replace(
        RANGES,
        photons=(5000, 5000),
        sigma_px=(1.0, 1.3),
        background_photons=(5, 50),
        empty_share=0,
        frames_per_film=16,
    )
    dim = replace(bright, photons=(1000, 1000))
    heights = [
        np.median([batch.normalized.max() for batch in block_batches(r, seed=1, batch=8, block=0)])
        for r in (bright, dim)
    ]
    assert min(heights) > 0.5
    assert max(heights) < 3 * min(heights)


def _emitters(count: int, *, outside_every: int) -> Emitters:
    """Two frames with molecules at 0, 1, 2 ...; some outside; the second frame is half as full."""
    place = np.tile(np.arange(count, dtype=np.float64), (2, 1))
    y_px = np.where(place % outside_every == 0, -1.0, place / 10)
    photons = np.where(place < np.array([[count], [count // 2]]), 100.0, 0.0)
    return Emitters(y_px, place / 20, photons, np.ones_like(place))


def test_inside_first_puts_the_molecules_inside_first() -> None:
    position, photons = inside_first(_emitters(8, outside_every=4), 16, 10)
    assert (position.shape, photons.shape) == ((2, 10, 2), (2, 10))
    assert photons.tolist() == [[100] * 6 + [0] * 4, [100] * 3 + [0] * 7]
    order = np.array([1, 2, 3, 5, 6, 7])
    np.testing.assert_allclose(position[0, :6, 0], order / 10)
    np.testing.assert_allclose(position[0, :6, 1], order / 20)
    np.testing.assert_allclose(position[1, :3, 0], [0.1, 0.2, 0.3])


def test_inside_first_leaves_out_what_has_no_place() -> None:
    position, photons = inside_first(_emitters(8, outside_every=4), 16, 4)
    assert photons.tolist() == [[100, 100, 100, 100], [100, 100, 100, 0]]
    np.testing.assert_allclose(position[0, :, 0], [0.1, 0.2, 0.3, 0.5])


def test_density_of_uniform_films() -> None:
    ranges = replace(
        only("uniform", RANGES), empty_share=0, density_per_um2=(4, 4), frames_per_film=20
    )
    expected = 4 * 1.6**2
    counts = _inside_per_frame(_films(ranges, 20), 16)
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / counts.size))


def test_empty_films_are_all_background() -> None:
    ranges = replace(RANGES, empty_share=1)
    films = _films(ranges, 10)
    assert _inside_per_frame(films, 16).sum() == 0
    for batch in block_batches(ranges, seed=1, batch=4, block=0):
        assert np.isfinite(batch.normalized).all()
        assert batch.present.sum() == 0


@pytest.mark.parametrize("kind", ["uniform", "filament", "worm", "patch"])
def test_crowded_films_are_thinned_to_what_a_patch_has_places_for(kind: str) -> None:
    ranges = replace(
        only(kind, RANGES),
        patch_px=32,
        empty_share=0,
        density_per_um=(7, 7),
        density_per_um2=(60, 60),
        filament_spacing_um=(0.25, 0.25),
        emitters_max=40,
        frames_per_film=8,
    )
    counts = _inside_per_frame(_films(ranges, 20), 32)
    assert counts.mean() == pytest.approx(0.85 * 40, rel=0.12)
    assert (counts > 40).mean() < 0.2


@pytest.mark.parametrize("patch_px", [16, 24, 32])
def test_small_patches_take_the_widest_spacing(patch_px: int) -> None:
    ranges = replace(only("filament", RANGES), patch_px=patch_px, filament_spacing_um=(2.5, 2.5))
    for film in _films(ranges, 12):
        assert film.frames_adu.shape == (3, patch_px, patch_px)
