"""Frames are read once for all tiles, one range ahead."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.films import ArrayFilm, noise_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.survey import conditioning_of
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run import chunking
from smlm_pipeline.run.read_ahead import ReadAhead
from smlm_pipeline.settings import Settings

AS_THEY_ARE = conditioning_of(noise_adu(10, 70, 70))
"""Of a film without faults."""

CHUNKS = chunking.plan(10, 70, 70, chunk_frames=4, tile_px=64)


def test_tiles_share_one_read() -> None:
    film_adu = noise_adu(10, 70, 70)
    film = ArrayFilm(film_adu)
    assert len(CHUNKS) == 12
    with ReadAhead(film, CHUNKS, AS_THEY_ARE) as ahead:
        for chunk in CHUNKS:
            frames, levels = ahead.frames(chunk)
            assert levels.shape == (chunk.frame_count, 2)
            np.testing.assert_array_equal(frames, film_adu[chunk.first_frame : chunk.last_frame])
    assert film.reads == [(0, 4), (4, 8), (8, 10)]


def test_no_more_than_one_range_is_read_ahead() -> None:
    film = ArrayFilm(noise_adu(10, 70, 70))
    with ReadAhead(film, CHUNKS, AS_THEY_ARE) as ahead:
        ahead.frames(CHUNKS[0])
    assert film.reads[:1] == [(0, 4)]
    assert len(film.reads) <= 2


def test_chunks_out_of_order() -> None:
    film = ArrayFilm(noise_adu(10, 70, 70))
    with ReadAhead(film, CHUNKS, AS_THEY_ARE) as ahead:
        ahead.frames(CHUNKS[-1])
        with pytest.raises(ValueError, match="chunk 0 is not in the order of the plan"):
            ahead.frames(CHUNKS[0])


class _Damaged(ArrayFilm):
    def read(self, first: int, last: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
        if first >= 4:
            raise FilmError("frames 4 to 7 are damaged")
        return super().read(first, last)


def test_damage_is_told_where_it_is_met() -> None:
    with ReadAhead(_Damaged(noise_adu(10, 70, 70)), CHUNKS, AS_THEY_ARE) as ahead:
        ahead.frames(CHUNKS[3])
        with pytest.raises(FilmError, match="frames 4 to 7 are damaged"):
            ahead.frames(CHUNKS[4])


def test_a_tiled_film_is_read_once() -> None:
    film = ArrayFilm(noise_adu(8, 150, 80))
    reconstruct(
        film,
        ComputingTransport(),
        Settings(refine="off", brightness="off", tile_px=64, chunk_frames=4, level_frames=1),
    )
    assert film.reads == [(0, 1), (0, 4), (4, 8)]
