"""What is seen of a film before it is cut: its levels and its hash, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, spots_adu
from smlm_pipeline.film import survey
from smlm_pipeline.run.memory_budget import SURVEY_BYTES, SURVEY_FRAME_BYTES
from smlm_pipeline.settings import Settings


class _MadeUp(ArrayFilm):
    """A film of any length that is one frame in memory; its frames are the same but for a pixel."""

    def __init__(self, frame_count: int, height_px: int, width_px: int) -> None:
        super().__init__(np.full((1, height_px, width_px), 100, np.uint16))
        self.frame_count = frame_count

    def read(self, first: int, last: int) -> NDArray[np.uint16]:
        self.reads.append((first, last))
        frames = np.repeat(self._frames_adu, last - first, axis=0)
        frames[:, 0, 0] = np.arange(first, last)
        return frames


@pytest.mark.parametrize(
    ("frames", "level_frames", "sampled"),
    [
        (5, 512, [0, 1, 2, 3, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (9, 3, [0, 4, 6]),  # in the thirds from 0, 3 and 6, at 0, 0.618 and 0.236 of each
        (9, 5, [0, 2, 4, 6, 8]),
        (9, 1, [0]),
        (1000, 5, [0, 323, 447, 770, 894]),
    ],
)
def test_frames_are_spread_over_the_film_and_read_one_at_a_time(
    frames: int, level_frames: int, sampled: list[int]
) -> None:
    film_adu = spots_adu(frames, 16, 16)
    film = ArrayFilm(film_adu)
    seen = survey.survey(film, Settings(level_frames=level_frames))
    assert film.reads == [(frame, frame + 1) for frame in sampled]
    assert seen.sample.frames.tolist() == sampled


def test_the_sample_meets_every_phase_of_something_periodic() -> None:
    """A sample of every tenth frame would see all pulses of a laser, or none."""
    for period in (2, 3, 4, 10):
        chosen = np.array(survey.sampled_frames(5120, 64, 64, Settings()))
        shares = np.bincount(chosen % period, minlength=period) / len(chosen)
        assert np.abs(shares * period - 1).max() < 0.35


def test_the_hash_covers_every_pixel_and_the_order_of_sampled_frames() -> None:
    film_adu = spots_adu(6, 16, 20)
    hashes = {survey.survey(ArrayFilm(film_adu), Settings()).film_sha256}
    for y, x in ((0, 0), (7, 19), (15, 3)):
        other_adu = film_adu.copy()
        other_adu[3, y, x] += 1
        hashes.add(survey.survey(ArrayFilm(other_adu), Settings()).film_sha256)
    hashes.add(survey.survey(ArrayFilm(film_adu[[0, 2, 1, 3, 4, 5]]), Settings()).film_sha256)
    assert len(hashes) == 5


def test_samples_of_large_frames_are_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    film = ArrayFilm(spots_adu(40, 16, 16))
    monkeypatch.setattr(survey, "LEVEL_PIXELS", 10 * 16 * 16)
    assert len(survey.survey(film, Settings(level_frames=20)).sample.frames) == 10


@pytest.mark.parametrize("held_frames", [None, 200, 10, 1])
@pytest.mark.parametrize("frames", [2, 7, 40, 600])
def test_a_film_in_memory_has_the_same_levels(
    frames: int, held_frames: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As training and the bench have it, below and above the cap on the sample's pixels."""
    if held_frames is not None:
        monkeypatch.setattr(survey, "LEVEL_PIXELS", held_frames * 16 * 16)
    film_adu = spots_adu(frames, 16, 16)
    seen = survey.survey(ArrayFilm(film_adu), Settings())
    whole_adu, whole_levels_adu = survey.prepared(film_adu)
    for first in range(0, frames, 100):
        part_adu = film_adu[first : first + 100]
        frames_adu, levels_adu = seen.conditioning.apply(part_adu, first)
        np.testing.assert_array_equal(frames_adu, whole_adu[first : first + 100])
        np.testing.assert_array_equal(levels_adu, whole_levels_adu[first : first + 100])


def test_levels_of_large_frames_have_a_cap() -> None:
    """64 Mi pixels: 16 frames of 2048 x 2048, and of larger ones never fewer than eight."""
    for edge_px, leveled in ((64, 512), (512, 256), (2048, 16), (8192, 8)):
        chosen = survey.sampled_frames(600, edge_px, edge_px, Settings())
        assert len(chosen) == len(set(chosen)) == leveled
        assert chosen[0] == 0
        assert 600 * (1 - 1 / leveled) <= chosen[-1] < 600


def test_memory_does_not_grow_with_the_film() -> None:
    """Beside the sample for the levels, a few whole frames, however long the film is."""
    pixels = 256 * 256
    peaks = []
    for frames in (64, 2048):
        tracemalloc.start()
        survey.survey(_MadeUp(frames, 256, 256), Settings(level_frames=8))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.05 * peaks[0] + 100_000
    assert peaks[1] < 8 * 2 * pixels + SURVEY_FRAME_BYTES * pixels + SURVEY_BYTES


def test_a_film_of_one_frame() -> None:
    film_adu = spots_adu(1, 16, 16)
    seen = survey.survey(ArrayFilm(film_adu), Settings())
    assert seen.sample.backgrounds_adu.tolist() == survey.prepared(film_adu)[1][:, 0].tolist()


def test_the_film_is_not_changed() -> None:
    film_adu = spots_adu(9, 16, 16)
    before = film_adu.copy()
    survey.survey(ArrayFilm(film_adu), Settings())
    np.testing.assert_array_equal(film_adu, before)
