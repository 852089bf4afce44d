"""The reference paper's training set: its numbers, its errors, and emitters in bright places."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice

import numpy as np
import pytest
import tifffile
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fakes.places import SHARED_DATA
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.table import Molecules
from smlm_pipeline.localise.table_files import read_molecules
from smlm_training.fitting.datasets import Batch
from smlm_training.fitting.patches import batches, cut_pairs
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.simulate import Emitters, expected_photons

THUNDERSTORM = SHARED_DATA / "thunderstorm"

FRAMES, HEIGHT, WIDTH, EMITTERS = 12, 30, 38, 40


def _film(seed: int = 1, *, pixel_size_nm: float = 100.0) -> tuple[NDArray[np.uint16], Molecules]:
    """A film whose edges are no multiples of 4, with emitters all over it."""
    rng = np.random.default_rng(seed)
    y_px, x_px = (rng.uniform(0, edge, (FRAMES, EMITTERS)) for edge in (HEIGHT, WIDTH))
    emitters = Emitters(y_px, x_px, np.full_like(y_px, 1500.0), np.full_like(y_px, 1.1))
    photons = expected_photons(emitters, HEIGHT, WIDTH) + 20
    frame = np.repeat(np.arange(FRAMES), EMITTERS)
    positions = Molecules(frame, y_px.ravel() * pixel_size_nm, x_px.ravel() * pixel_size_nm)
    return Emccd(2.0, 100.0).expose(rng, photons), positions


def _own_px(pairs: Batch, index: int) -> NDArray[np.float32]:
    own: NDArray[np.float32] = pairs.position_px[index][pairs.present[index] > 0]
    return own


def _contrast(pairs: Batch) -> float:
    """Mean brightness of the pixels that hold an emitter over that of all pixels."""
    lit = [
        pairs.normalized[index, y, x, 0]
        for index in range(len(pairs.present))
        for y, x in np.floor(_own_px(pairs, index)).astype(int)
    ]
    return float(np.mean(lit) / pairs.normalized[..., 0].mean())


def _assert_same(pairs: Batch, other: Batch) -> None:
    np.testing.assert_array_equal(pairs.normalized, other.normalized)
    np.testing.assert_array_equal(pairs.position_px, other.position_px)
    np.testing.assert_array_equal(pairs.present, other.present)


def test_numbers_of_the_reference_paper_on_its_kind_of_film() -> None:
    if not THUNDERSTORM.exists():
        pytest.skip("../shared/data/thunderstorm is not there")
    frames_adu = tifffile.imread(THUNDERSTORM / "stack.tif")
    pairs = cut_pairs(frames_adu, read_molecules(THUNDERSTORM / "positions.csv"), seed=4)
    for part, count in zip(pairs, (7_000, 3_000), strict=True):
        assert part.normalized.shape == (count, 26, 26, 1)
        assert part.normalized.dtype == part.position_px.dtype == part.present.dtype == np.float32
        assert part.present.sum(axis=1).min() >= 7
        assert part.position_px.min() >= 0
        assert part.position_px.max() <= 26
        # 4956 emitters on 20 frames of 64 x 64, near the border fewer than there are patches
        assert part.present.sum(axis=1).mean() == pytest.approx(4956 / 20 * (26 / 64) ** 2, rel=0.1)
        assert _contrast(part) > 1.4


def test_patches_are_pieces_of_the_normalised_film_with_their_emitters() -> None:
    frames_adu, positions = _film()
    shown_adu, levels_adu = prepared(frames_adu)
    film = (shown_adu - levels_adu[:, :1, None]) / levels_adu[:, 1:, None]
    seen = set()
    for pairs in cut_pairs(frames_adu, positions, patch_px=10, patches_per_frame=15, seed=3):
        for index, patch in enumerate(pairs.normalized[..., 0]):
            matches = np.argwhere(
                np.isclose(film[:, : HEIGHT - 9, : WIDTH - 9], patch[0, 0], rtol=0, atol=1e-5)
            )
            (where,) = [
                (t, y, x)
                for t, y, x in matches
                if np.allclose(film[t, y : y + 10, x : x + 10], patch, rtol=0, atol=1e-5)
            ]
            seen.add(where)
            t, y, x = where
            truth_px = np.stack([positions.y_nm, positions.x_nm], axis=1) / 100 - (y, x)
            inside = (positions.frame == t) & ((truth_px >= 0) & (truth_px < 10)).all(axis=1)
            np.testing.assert_allclose(_own_px(pairs, index), truth_px[inside], atol=1e-5)
            assert inside.sum() >= 7
    assert len(seen) > 20


def test_places_that_are_not_taken_are_zero() -> None:
    pairs, _ = cut_pairs(*_film(), patch_px=12, seed=3)
    assert set(np.unique(pairs.present)) == {0, 1}
    assert not pairs.position_px[pairs.present == 0].any()
    np.testing.assert_array_equal(np.isnan(pairs.intensity), pairs.present == 1)
    assert pairs.present.sum(axis=1).max() == pairs.present.shape[1]


def test_positions_agree_with_brightness_only_where_they_belong() -> None:
    pairs, _ = cut_pairs(*_film(), patch_px=12, seed=3)
    moved = replace(pairs, normalized=np.roll(pairs.normalized, 4, axis=1))
    assert _contrast(pairs) > 1.5
    assert _contrast(moved) < 1.1


def test_training_and_validation_share_no_frame() -> None:
    frames_adu, positions = _film()
    shown_adu, levels_adu = prepared(frames_adu)
    film = (shown_adu - levels_adu[:, :1, None]) / levels_adu[:, 1:, None]
    windows = sliding_window_view(film, (1, 3, 3))[:, :, :, 0]
    frames_of = []
    for pairs in cut_pairs(frames_adu, positions, patch_px=12, train_share=0.75, seed=3):
        corner_values = pairs.normalized[:, :3, :3, 0]
        found = {
            int(t)
            for value in corner_values[::20]
            for t in np.nonzero(np.isclose(windows, value, atol=1e-5).all(axis=(3, 4)))[0]
        }
        frames_of.append(found)
    training, validation = frames_of
    assert not training & validation
    assert len(training) == 9
    assert len(validation) == 3


def test_pairs_are_spread_over_all_frames() -> None:
    training, validation = cut_pairs(*_film(), patch_px=14, pairs_most=60, train_share=0.5, seed=3)
    assert (len(training.present), len(validation.present)) == (30, 30)


def test_pixel_size_is_that_of_the_camera() -> None:
    frames_adu, positions = _film(pixel_size_nm=160.0)
    expected = cut_pairs(*_film(), patch_px=12, seed=3)
    found = cut_pairs(frames_adu, positions, patch_px=12, pixel_size_nm=160.0, seed=3)
    for pairs, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(pairs.position_px, other.position_px, atol=1e-4)


def test_same_seed_gives_the_same_pairs() -> None:
    first, again, other = (cut_pairs(*_film(), patch_px=12, seed=seed) for seed in (3, 3, 4))
    for part, same in zip(first, again, strict=True):
        _assert_same(part, same)
    assert not np.array_equal(first[0].normalized[:50], other[0].normalized[:50])


def test_levels_are_those_of_the_film_and_not_of_a_patch() -> None:
    """A patch's smallest and largest value say nothing about its scale."""
    frames_adu, positions = _film()
    brighter = (frames_adu.astype(int) * 3 - 150).astype(np.uint16)
    for pairs, other in zip(
        cut_pairs(frames_adu, positions, patch_px=12, seed=3),
        cut_pairs(brighter, positions, patch_px=12, seed=3),
        strict=True,
    ):
        np.testing.assert_allclose(pairs.normalized, other.normalized, atol=1e-4)
        assert np.ptp(pairs.normalized[..., 0].max(axis=(1, 2))) > 0.2


@pytest.mark.parametrize("seed", [7, 8])
def test_a_table_of_another_film_is_refused(seed: int) -> None:
    frames_adu, _ = _film()
    _, positions = _film(seed)
    with pytest.raises(FilmError, match="table does not fit the film: pixels do not light up"):
        cut_pairs(frames_adu, positions, patch_px=12, seed=1)


@pytest.mark.parametrize("late", [1, -1])
def test_a_table_that_counts_frames_from_elsewhere_is_refused(late: int) -> None:
    frames_adu, positions = _film()
    shifted = replace(positions, frame=(positions.frame + late) % FRAMES)
    with pytest.raises(FilmError, match="when it says; expected the film's own table, frames"):
        cut_pairs(frames_adu, shifted, patch_px=12, seed=1)


def test_another_pixel_size_is_refused() -> None:
    with pytest.raises(FilmError, match="pixels of 160 nm"):
        cut_pairs(*_film(), patch_px=12, pixel_size_nm=160.0, seed=1)


def test_a_table_longer_than_the_film_is_refused() -> None:
    frames_adu, positions = _film()
    with pytest.raises(FilmError, match="frames 1 to 12, the film has 5; expected the table"):
        cut_pairs(frames_adu[:5], positions, patch_px=12, seed=1)


def test_a_table_without_emitters_is_refused() -> None:
    frames_adu, _ = _film()
    nothing = Molecules(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    with pytest.raises(FilmError, match="does not fit the film"):
        cut_pairs(frames_adu, nothing, patch_px=12, seed=1)


def test_too_few_emitters_are_told() -> None:
    with pytest.raises(FilmError, match=r"too little data: 0 of 12 frames .* at least 100 em"):
        cut_pairs(*_film(), patch_px=12, emitters_min=100, seed=1)


def test_one_frame_is_too_short() -> None:
    frames_adu, positions = _film()
    first = positions.frame == 0
    positions = Molecules(positions.frame[first], positions.y_nm[first], positions.x_nm[first])
    with pytest.raises(FilmError, match="too little data: 1 of 1 frames gave patches"):
        cut_pairs(frames_adu[:1], positions, patch_px=12, seed=1)


@pytest.mark.parametrize("patch_px", [0, 31])
def test_patches_fit_into_frames(patch_px: int) -> None:
    with pytest.raises(SettingError, match=f"patches are {patch_px} x .*, frames 30 x 38"):
        cut_pairs(*_film(), patch_px=patch_px, seed=1)


@pytest.fixture(scope="module")
def pairs() -> Batch:
    """Eleven pairs, each with its number as brightness."""
    number = np.arange(11, dtype=np.float32)
    return Batch(
        np.broadcast_to(number[:, None, None, None], (11, 4, 4, 1)),
        np.broadcast_to(number[:, None, None], (11, 2, 2)),
        *(np.broadcast_to(number[:, None], (11, 2)) for _ in range(2)),
    )


def _numbers(stream: list[Batch]) -> list[list[int]]:
    return [batch.normalized[:, 0, 0, 0].astype(int).tolist() for batch in stream]


def test_an_epoch_shows_every_pair_once_in_an_order_of_its_own(pairs: Batch) -> None:
    numbers = _numbers(list(islice(batches(pairs, batch=3, seed=2), 6)))
    epochs = [list(chain(*part)) for part in (numbers[:3], numbers[3:])]
    assert [len(batch) for batch in numbers] == [3] * 6
    assert [len(set(epoch)) for epoch in epochs] == [9, 9]
    assert epochs[0] != epochs[1]


def test_parts_of_a_batch_belong_together(pairs: Batch) -> None:
    for batch in islice(batches(pairs, batch=4, seed=2), 5):
        np.testing.assert_array_equal(batch.normalized[:, 0, 0, 0], batch.present[:, 1])
        np.testing.assert_array_equal(batch.normalized[:, 0, 0, 0], batch.position_px[:, 1, 1])
        np.testing.assert_array_equal(batch.normalized[:, 0, 0, 0], batch.intensity[:, 1])


@pytest.mark.parametrize("first_step", [1, 3, 7])
def test_a_later_start_goes_on_as_an_unbroken_stream(pairs: Batch, first_step: int) -> None:
    unbroken = list(islice(batches(pairs, batch=3, seed=2), 12))
    resumed = list(islice(batches(pairs, batch=3, seed=2, first_step=first_step), 12 - first_step))
    assert _numbers(resumed) == _numbers(unbroken[first_step:])


def test_other_seed_gives_another_order(pairs: Batch) -> None:
    first, other = (list(islice(batches(pairs, batch=3, seed=seed), 3)) for seed in (1, 2))
    assert _numbers(first) != _numbers(other)


def test_fewer_pairs_than_a_batch_are_refused(pairs: Batch) -> None:
    with pytest.raises(SettingError, match="too little data: 11 pairs for batches of 12"):
        next(batches(pairs, batch=12, seed=1))
