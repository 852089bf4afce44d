"""The films: those of the suite of structures, and films that are hard to refine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.cameras import camera
from smlm_bench.structures.films import FilmLine, film_lines, make_film
from smlm_bench.structures.optics import optics
from smlm_bench.structures.reconstruction import ZOOM
from smlm_bench.structures.shape import FIELD_PX, PIXEL_SIZE_NM
from smlm_pipeline.localise.table import Molecules
from smlm_training.scoring.evaluate import truth_image

_BASE = "short waves in focus"
"""The film of the suite that hard films are made of."""

_SATURATED_PERCENTILE = 99.0
_BEAD_FRAMES, _BEAD_PHOTONS, _BEAD_BACKGROUND_PHOTONS = 240, 4000.0, 20.0


@dataclass(frozen=True)
class TrueFilm:
    """A film and its true image.

    ``frames_adu`` (T, Y, X) uint16, ``truth`` (``ZOOM`` Y, ``ZOOM`` X) float64, in emitters.
    """

    name: str
    frames_adu: NDArray[np.uint16]
    truth: NDArray[np.float64]


def suite_films(half: str) -> Iterator[TrueFilm]:
    """The films of a half of the suite; see `smlm_bench.structures.films.film_lines`."""
    for line in film_lines(half):
        yield _film_of(line)


def hard_films() -> Iterator[TrueFilm]:
    """Short films, a saturated one, one bead and nothing at all."""
    for make in _HARD.values():
        yield make()


def named_film(name: str) -> TrueFilm:
    """The film of the suite, or the hard film, of this name."""
    if name in _HARD:
        return _HARD[name]()
    return _film_of(next(line for line in film_lines() if line.name == name))


def _film_of(line: FilmLine) -> TrueFilm:
    film = make_film(line)
    return TrueFilm(line.name, film.frames_adu, _drawn(film.emitters.molecules()))


def _short(frames: int) -> TrueFilm:
    line = replace(_line(_BASE), frames=frames)
    return replace(_film_of(line), name=f"{frames} frames of {_BASE}")


def _sparse() -> TrueFilm:
    line = replace(_line(_BASE), density_per_um2=0.2)
    return replace(_film_of(line), name=f"a thirtieth of the molecules of {_BASE}")


def _saturated() -> TrueFilm:
    film = _film_of(_line(_BASE))
    most_adu = np.uint16(np.percentile(film.frames_adu, _SATURATED_PERCENTILE))
    return replace(film, name="saturated", frames_adu=np.minimum(film.frames_adu, most_adu))


def _bead() -> TrueFilm:
    place_px = np.full((_BEAD_FRAMES, 2), FIELD_PX / 2 + 0.3)
    return _lone("one bead", np.arange(_BEAD_FRAMES), place_px)


def _empty() -> TrueFilm:
    return _lone("empty", np.zeros(0, np.int64), np.zeros((0, 2)))


def _lone(name: str, frame: NDArray[np.int64], place_px: NDArray[np.float64]) -> TrueFilm:
    """A film with an emitter of one brightness at each of some places and frames."""
    rng = np.random.default_rng(1)
    photons, plane = np.full(len(frame), _BEAD_PHOTONS), np.zeros(len(frame), np.int64)
    light = optics("gauss", 1.1).film(frame, place_px, photons, plane, _BEAD_FRAMES)
    frames_adu = camera("emccd", rng, FIELD_PX).expose(rng, light + _BEAD_BACKGROUND_PHOTONS)
    y_nm, x_nm = place_px.T * PIXEL_SIZE_NM
    return TrueFilm(name, frames_adu, _drawn(Molecules(frame, y_nm, x_nm)))


def _line(name: str) -> FilmLine:
    return next(line for line in film_lines() if line.name == name)


def _drawn(molecules: Molecules) -> NDArray[np.float64]:
    edge = FIELD_PX * ZOOM
    shape, pixel_nm = (edge, edge), PIXEL_SIZE_NM / ZOOM
    return truth_image(molecules.y_nm, molecules.x_nm, shape=shape, sr_pixel_size_nm=pixel_nm)


_HARD: Mapping[str, Callable[[], TrueFilm]] = {
    "8 frames": lambda: _short(8),
    "40 frames": lambda: _short(40),
    "sparse": _sparse,
    "saturated": _saturated,
    "one bead": _bead,
    "empty": _empty,
}
