"""Molecules that are drawn again: exact, in memory and in files, and within the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, noise_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.film import Film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.canvas import Canvas, FileCanvas
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.settings import Settings

ZOOM, HEIGHT_PX, WIDTH_PX = 4, 20, 30


def _accumulator(canvas: Canvas | None = None) -> Accumulator:
    return Accumulator(
        HEIGHT_PX, WIDTH_PX, zoom=ZOOM, classes=2, half_of=lambda _chunk: 0, canvas=canvas
    )


def _drawn(accumulator: Accumulator, places_px: NDArray[np.float64]) -> Accumulator:
    count = places_px.shape[1]
    half, number = np.arange(count) % 2, np.arange(count) // 2 % 2
    weight = (np.arange(count) % 7 / 8).astype(np.float32)
    accumulator.draw(places_px, weight, half, number)
    return accumulator


def test_molecules_are_at_their_pixels_in_their_planes() -> None:
    places_px = np.array([[0.0, 0.26, 19.99, 5.0, 5.0], [0.0, 1.5, 29.99, 7.0, 7.0]])
    drawn = _drawn(_accumulator(), places_px)
    whole = drawn.image().whole()
    assert whole[1, 6] == 1 / 8
    assert whole[-1, -1] == 2 / 8
    assert whole[20, 28] == 3 / 8 + 4 / 8
    (first, second), classes = drawn.half_images(), drawn.class_images()
    assert first.whole()[20, 28] == 4 / 8
    assert second.whole()[20, 28] == 3 / 8
    assert classes[1][1].whole()[20, 28] == 3 / 8


def test_those_out_of_the_field_are_left_out() -> None:
    outside = np.array([[-1.01, 5.0, 21.0, 5.0, -50.0], [5.0, -1.01, 5.0, 31.0, 900.0]])
    assert not _drawn(_accumulator(), outside).canvas.rows(0, 10**6).any()


def test_a_file_holds_the_same_bits(tmp_path: Path) -> None:
    places_px = np.random.default_rng(0).uniform(-2, 32, (2, 5000))
    memory = _accumulator()
    in_file = _accumulator(FileCanvas(memory.canvas.shape, tmp_path))
    with in_file.another().canvas as canvas:
        file = _drawn(in_file.another(), places_px)
        np.testing.assert_array_equal(
            file.image().whole(), _drawn(memory, places_px).image().whole()
        )
        assert isinstance(canvas, FileCanvas)
        assert not in_file.canvas.rows(0, 10).any()


def test_the_second_sum_is_in_the_budget() -> None:
    film: Film = ArrayFilm(noise_adu(4, 400, 400))
    limit_bytes = 700 << 20
    assert plan_run(film, Settings(refine="off"), limit_bytes).canvas_in_memory
    plan = plan_run(film, Settings(refine="off", drift="auto"), limit_bytes)
    assert not plan.canvas_in_memory
    assert plan_run(film, Settings(refine="off"), 500 << 20).in_flight_most
    with pytest.raises(SettingError, match="raise --memory"):
        plan_run(film, Settings(refine="off", drift="auto"), 500 << 20)


def test_halves_of_frames_are_those_of_chunks() -> None:
    plan = plan_run(ArrayFilm(noise_adu(100, 32, 32)), Settings(resolution=True), 1 << 30)
    frames = np.arange(100)
    wanted = [0] * 100
    for chunk in plan.chunks:
        wanted[chunk.first_frame : chunk.last_frame] = [plan.half_of(chunk)] * chunk.frame_count
    assert plan.half_of_frames(frames).tolist() == wanted
    assert 0.4 < np.mean(wanted) < 0.6


def test_reconstruct_alone_corrects_drift_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    film = ArrayFilm(noise_adu(6, 24, 24))
    found = reconstruct(
        film, ComputingTransport(), Settings(drift="auto", resolution=True), pixel_size_nm=100
    )
    assert found.drift is not None
    assert found.drift.applied is None
    assert found.resolution is not None
    np.testing.assert_array_equal(found.image, found.uncorrected.whole())
    assert list(tmp_path.iterdir()) == []
