"""The look before a run: it corrects all scales alike, and fails as the run would."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, spots_adu
from fakes.transports import ComputingTransport, molecules_apart
from smlm_pipeline import contract
from smlm_pipeline.compute.brightness import scale_factor
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import FilmError, InferenceError, ServerError, SettingError
from smlm_pipeline.film.survey import Survey, survey
from smlm_pipeline.run.brightness import brightness_spread
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.settings import Settings

GIB = 1 << 30


class Sure(ComputingTransport):
    """Finds sure molecules apart, whose light has a spread of 0.5."""

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        answer = super().sum_chunk(request)
        rng = np.random.default_rng(zlib.crc32(request.label.encode()))
        table = molecules_apart(request.window, lambda count: np.exp(rng.normal(2, 0.5, count)))
        return replace(answer, molecules=table)


class Astray(Sure):
    """States a molecule of a frame that was not sent."""

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        answer = super().sum_chunk(request)
        assert answer.molecules is not None
        answer.molecules[0, 0] = len(request.frames_adu)
        return answer


class Failing(ComputingTransport):
    """Ends every request with an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def sum_chunk(self, _request: Request) -> ChunkAnswer:
        raise self._error


class Damaged(ArrayFilm):
    """A film whose later half cannot be read, once it was surveyed."""

    surveyed = False

    def read(self, first: int, last: int) -> NDArray[np.uint16]:
        if self.surveyed and last > self.frame_count // 2:
            raise FilmError(f"frames {first} to {last - 1} are damaged")
        return super().read(first, last)


def _looked(
    film: ArrayFilm, transport: ComputingTransport, **settings: Any
) -> tuple[Survey, Survey]:
    """The survey before and after the look."""
    chosen = Settings(attempts=1, **{"brightness": "auto", **settings})
    seen = survey(film, chosen)
    if isinstance(film, Damaged):
        film.surveyed = True
    plan = plan_run(film, chosen, GIB)
    spread = brightness_spread(film, seen, transport, lambda: 1, plan, chosen)
    return seen, seen.with_spread(spread)


def _film() -> ArrayFilm:
    return ArrayFilm(spots_adu(120, 64, 64))


def test_all_scales_are_corrected_alike() -> None:
    before, after = _looked(_film(), Sure())
    assert after.brightness_spread == pytest.approx(0.5, abs=0.05)
    factor = scale_factor(after.brightness_spread or 0.0)
    assert factor < 0.75
    frames = np.arange(120)
    expected_adu = factor * before.conditioning.scales_adu(frames)
    np.testing.assert_allclose(after.conditioning.scales_adu(frames), expected_adu, rtol=1e-6)
    assert after.sample.scale_adu == pytest.approx(factor * before.sample.scale_adu)
    assert after.film_sha256 == before.film_sha256


def test_who_looks() -> None:
    """Neither those who do not want it, nor networks that show no molecules, or may not."""
    assert Settings().looks_at_molecules
    assert not Settings(brightness="off").looks_at_molecules
    assert not Settings(model=contract.RECONSTRUCTION_MAP.name).looks_at_molecules
    assert not Settings(model="elsewhere").looks_at_molecules
    with pytest.raises(SettingError, match="brightness is 'on'; expected off or auto"):
        Settings(brightness="on")


def test_an_engine_without_molecules_leaves_the_scale() -> None:
    engine = ComputingTransport()
    before, after = _looked(_film(), engine)
    assert after is before
    assert engine.looks


def test_neither_tiles_nor_requests_of_the_run_matter() -> None:
    settings: list[Mapping[str, Any]] = [{}, {"tile_px": 64}, {"chunk_frames": 3}, {"zoom": 2}]
    film = ArrayFilm(spots_adu(40, 70, 300))
    found = {_looked(film, Sure(), **each)[1].brightness_spread for each in settings}
    assert len(found) == 1


def test_wide_fields_are_looked_at_in_several_tiles() -> None:
    engine = ComputingTransport()
    _looked(ArrayFilm(spots_adu(120, 64, 600)), engine)
    tiles = {label.partition(", ")[2] for label in engine.looks}
    assert len(tiles) > 1
    assert max(each.frames_adu.shape[2] for each in engine.looks.values()) <= 256


def test_frames_that_cannot_be_read_end_it_unless_an_image_may_lack_them() -> None:
    with pytest.raises(FilmError, match="are damaged"):
        _looked(Damaged(spots_adu(120, 64, 64)), Sure())
    _, after = _looked(Damaged(spots_adu(120, 64, 64)), Sure(), allow_partial=True)
    assert after.brightness_spread == pytest.approx(0.5, abs=0.06)


def test_without_a_server_there_is_no_image_that_may_lack_frames() -> None:
    with pytest.raises(ServerError, match="no server"):
        _looked(_film(), Failing(ServerError("no server")), allow_partial=True)
    with pytest.raises(InferenceError, match="not this one"):
        _looked(_film(), Failing(InferenceError("not this one")))


def test_molecules_that_cannot_be_are_refused() -> None:
    with pytest.raises(InferenceError, match="a molecule outside of its core"):
        _looked(_film(), Astray())
