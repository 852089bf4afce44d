"""The wide field of a run: the film's mean, whatever the tiles, their order and interruptions."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, noise_adu, spots_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.compute.sparse import sparse
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, SettingError
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run import chunking
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.requests import request_of
from smlm_pipeline.run.wide_field import WideField, light_of
from smlm_pipeline.settings import Settings

FRAMES, HEIGHT_PX, WIDTH_PX = 20, 100, 150
CHUNKS = chunking.plan(FRAMES, HEIGHT_PX, WIDTH_PX, chunk_frames=7, tile_px=96)
FILM_ADU = noise_adu(FRAMES, HEIGHT_PX, WIDTH_PX)
LEVELS_ADU = np.stack([np.linspace(90, 110, FRAMES), np.repeat([50, 80], 10)], 1).astype(np.float32)


def _answer(chunk: Chunk) -> ChunkAnswer:
    frames = slice(chunk.first_frame, chunk.last_frame)
    request = request_of(FILM_ADU[frames], chunk, LEVELS_ADU[frames], 4, light=True)
    sums = sparse(np.full((1, 1), (chunk.index + 1) << 16, np.int32))
    return ChunkAnswer(sums, chunk.frame_count, light=request.light)


def _filled(order: NDArray[np.int64]) -> WideField:
    wide = WideField(HEIGHT_PX, WIDTH_PX, CHUNKS)
    for index in order:
        wide.check(CHUNKS[index], _answer(CHUNKS[index]))
        wide.add(CHUNKS[index], _answer(CHUNKS[index]))
    return wide


def test_it_is_the_sum_over_all_frames_in_any_order() -> None:
    backgrounds, scales = LEVELS_ADU.astype(np.float64).T[:, :, None, None]
    expected = ((FILM_ADU - backgrounds) / scales).sum(axis=0)
    order = np.arange(len(CHUNKS))
    wide = _filled(order)
    np.testing.assert_allclose(wide.light, expected, atol=1e-3)
    np.testing.assert_array_equal(_filled(order[::-1]).light, wide.light)
    np.testing.assert_allclose(light_of(FILM_ADU, LEVELS_ADU), expected, atol=1e-9)


def test_molecules_of_a_frame_by_time() -> None:
    first, rate = _filled(np.arange(len(CHUNKS))).per_frame()
    assert first.tolist() == [0, 7, 14]
    tiles = len(CHUNKS) // 3
    sums = [sum(range(1 + tiles * part, 1 + tiles * (part + 1))) for part in range(3)]
    np.testing.assert_allclose(rate, np.divide(sums, [7, 7, 6]))
    lacking = _filled(np.arange(len(CHUNKS) - 1))
    assert lacking.per_frame()[0].tolist() == [0, 7]


def test_a_checkpoint_keeps_it() -> None:
    half, file = _filled(np.arange(5)), io.BytesIO()
    half.write_to(file)
    restored = WideField(HEIGHT_PX, WIDTH_PX, CHUNKS)
    restored.read_from(io.BytesIO(file.getvalue()))
    for index in range(5, len(CHUNKS)):
        restored.add(CHUNKS[index], _answer(CHUNKS[index]))
    whole = _filled(np.arange(len(CHUNKS)))
    np.testing.assert_array_equal(restored.light, whole.light)
    np.testing.assert_array_equal(restored.per_frame(), whole.per_frame())
    with pytest.raises(ValueError, match="of another shape"):
        WideField(HEIGHT_PX, WIDTH_PX + 1, CHUNKS).read_from(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("cuts", [[5], [0, 2, 9]])
def test_parts_of_a_film_add_up(cuts: list[int]) -> None:
    merged = WideField(HEIGHT_PX, WIDTH_PX, CHUNKS)
    for first, last in itertools.pairwise([0, *cuts, len(CHUNKS)]):
        part, file = WideField(HEIGHT_PX, WIDTH_PX, CHUNKS[first:last]), io.BytesIO()
        for chunk in CHUNKS[first:last]:
            part.add(chunk, _answer(chunk))
        part.write_part_to(file)
        merged.add_from(io.BytesIO(file.getvalue()))
    whole = _filled(np.arange(len(CHUNKS)))
    np.testing.assert_array_equal(merged.light, whole.light)
    np.testing.assert_array_equal(merged.per_frame(), whole.per_frame())
    for other in (CHUNKS[:1], CHUNKS[-1:]):
        with pytest.raises(ValueError, match=r"of other chunks|of another shape"):
            WideField(HEIGHT_PX, WIDTH_PX, other).add_from(io.BytesIO(file.getvalue()))


def test_an_answer_without_light_is_refused() -> None:
    wide, answer = WideField(HEIGHT_PX, WIDTH_PX, CHUNKS), _answer(CHUNKS[0])
    bare = ChunkAnswer(answer.sums, answer.frame_count)
    with pytest.raises(InferenceError, match="chunk 0 came back without its light"):
        wide.check(CHUNKS[0], bare)


def test_a_run_of_tiles_compares_as_one_of_whole_frames() -> None:
    film_adu = spots_adu(12, 100, 150)

    def found(tile_px: int) -> NDArray[np.float32]:
        settings = Settings(error_map=True, tile_px=tile_px, chunk_frames=5)
        result = reconstruct(ArrayFilm(film_adu), ComputingTransport(), settings)
        assert result.comparison is not None
        return result.comparison.map.wide_field

    np.testing.assert_allclose(found(96), found(512), atol=1e-3)


def test_the_image_is_the_same_and_nothing_is_compared_unasked() -> None:
    film_adu = spots_adu(12, 40, 40)
    plain = reconstruct(ArrayFilm(film_adu), ComputingTransport(), Settings())
    asked = reconstruct(ArrayFilm(film_adu), ComputingTransport(), Settings(error_map=True))
    assert plain.comparison is None
    np.testing.assert_array_equal(asked.image, plain.image)


def test_chunks_that_are_missing_lack_in_both_images() -> None:
    class Failing(ComputingTransport):
        def sum_chunk(self, request: Request) -> ChunkAnswer:
            if request.label.startswith("frames 0 to ") and "y 0, x 0" not in request.label:
                raise InferenceError("lost for good")
            return super().sum_chunk(request)

    film_adu, settings = spots_adu(24, 100, 150), Settings(error_map=True, tile_px=96)
    whole = reconstruct(ArrayFilm(film_adu), ComputingTransport(), settings)
    lacking = reconstruct(ArrayFilm(film_adu), Failing(), replace(settings, allow_partial=True))
    assert whole.comparison is not None
    assert lacking.comparison is not None
    assert len(lacking.missing.chunks) == 5
    assert lacking.comparison.map.pearson == pytest.approx(whole.comparison.map.pearson, abs=0.01)
    assert whole.comparison.first_frame.tolist() == list(range(0, 24, 3))
    assert lacking.comparison.first_frame.tolist() == list(range(3, 24, 3))


def test_it_is_in_the_budget() -> None:
    film, limit_bytes = ArrayFilm(noise_adu(1, 2048, 2048)), 900 << 20
    assert plan_run(film, Settings(), limit_bytes).in_flight_most
    with pytest.raises(SettingError, match="raise --memory"):
        plan_run(film, Settings(error_map=True), limit_bytes)
