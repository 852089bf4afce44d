"""Beads of plain and refined images: the two halves of a film are refined apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.refinement.measure import images
from smlm_bench.structures.beads import Halves, modulation_percent
from smlm_bench.structures.films import SuiteFilm, film_lines, make_film
from smlm_bench.structures.reconstruction import CHUNK_FRAMES, ZOOM
from smlm_bench.structures.scores import drawn_halves, followed_structure
from smlm_pipeline.engines.opening import Engine


@dataclass(frozen=True)
class Beads:
    """Modulation at the camera's pixels; see `smlm_bench.structures.beads.modulation_percent`.

    ``steps`` are those that each half of the film was refined by.
    """

    film: str
    density_per_um2: float
    steps: tuple[int, int]
    plain_percent: float
    refined_percent: float


def beads(half: str, engine: Engine, model: str) -> Iterator[Beads]:
    """Measure the films of a half of the suite in which beads can be measured.

    Raises
    ------
    SettingError
        If there is no such half.
    """
    for line in film_lines(half):
        film = make_film(line)
        followed = followed_structure(film)
        if followed.any():
            yield film_beads(film, followed, engine, model)


def film_beads(film: SuiteFilm, followed: NDArray[np.bool_], engine: Engine, model: str) -> Beads:
    """Refine both halves of a film, ranges of frames by turns, and measure their images."""
    second = np.arange(len(film.frames_adu)) // CHUNK_FRAMES % 2 == 1
    found = [images(film.frames_adu[here], engine, model, "auto") for here in (~second, second)]
    truth = drawn_halves(film.emitters.molecules(), second)
    plain, refined = (
        modulation_percent(
            Halves(first.astype(np.float64), second.astype(np.float64)), truth, followed, zoom=ZOOM
        )
        for first, second in zip(*((one.plain, one.refined) for one in found), strict=True)
    )
    steps = (found[0].refinement["steps"], found[1].refinement["steps"])
    return Beads(film.line.name, film.line.density_per_um2, steps, plain, refined)
