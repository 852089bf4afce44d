"""The film that all methods get, its truth and its facts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.method import ZOOM, FilmFacts
from smlm_bench.table.facts import Known, facts, film_facts, sources_of
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.frame_numbers import Numbers
from smlm_pipeline.film.selection import FrameRange, Selection, frames_text
from smlm_pipeline.localise.table import Molecules, in_field
from smlm_pipeline.localise.table_files import read_molecules
from smlm_training.scoring.evaluate import truth_image, widefield_image
from smlm_training.simulation.table_check import check_table


@dataclass(frozen=True)
class Outside:
    """Numbers of molecules left out of the table: in other frames, or outside of the field."""

    of_frames: int = 0
    of_field: int = 0


@dataclass(frozen=True)
class ComparedFilm:
    """Frames (T, Y, X) of a film, or of a part of it, with the true molecules of these frames.

    ``frame_range`` is first and last (excluded) in the file and a step other than one,
    ``facts_from`` the source of each fact, ``levels_ms_per_frame`` the time for levels,
    ``notes`` are remarks for the user on the film.
    """

    name: str
    frame_range: tuple[int, ...]
    frames_adu: NDArray[np.uint16]
    true: Molecules
    facts: FilmFacts
    facts_from: Mapping[str, str] = field(default_factory=dict)
    outside: Outside = Outside()
    levels_ms_per_frame: float = 0.0
    notes: tuple[str, ...] = ()

    @cached_property
    def frames_sha256(self) -> str:
        """Hash of the frames alone, which are all that methods see."""
        return hashlib.sha256(self.frames_adu.tobytes()).hexdigest()

    def facts_as_json(self) -> dict[str, Any]:
        """The facts in plain lists and numbers."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self.facts).items()}

    @property
    def sha256(self) -> str:
        """Hash of frames and positions."""
        total = hashlib.sha256(self.frames_adu.tobytes())
        for column in (self.true.frame, self.true.y_nm, self.true.x_nm):
            total.update(column.tobytes())
        return total.hexdigest()

    @property
    def fine_shape(self) -> tuple[int, int]:
        """Height and width in SR pixels."""
        return ZOOM * self.facts.shape_px[0], ZOOM * self.facts.shape_px[1]

    @property
    def fine_nm(self) -> float:
        """Edge of an SR pixel."""
        return self.facts.pixel_size_nm / ZOOM

    def truth(self) -> NDArray[np.float64]:
        """Count the true emitters in each SR pixel, by floor, over all frames."""
        return truth_image(
            self.true.y_nm, self.true.x_nm, shape=self.fine_shape, sr_pixel_size_nm=self.fine_nm
        )

    def widefield(self) -> NDArray[np.float64]:
        """Show the sum of the frames on the grid of SR pixels."""
        background_adu = float(self.facts.levels_adu[0])
        return widefield_image(self.frames_adu, background_adu=background_adu, zoom=ZOOM)


def read_compared_film(
    path: Path,
    positions: Path,
    frames: FrameRange,
    known: Known,
    pattern: str | None = None,
) -> ComparedFilm:
    """Read a range of a film's frames into memory, with their true molecules.

    Parameters
    ----------
    path : Path
        The film.
    positions : Path
        Table of its true positions.
    frames : tuple of int or None
        First and last (excluded; None is the end), and optionally a step.
    known : Known
        Optics and camera as the user states them.
    pattern : str, optional
        Glob of the names of the film's files, if the path is a folder.

    Returns
    -------
    ComparedFilm
        The film.

    Raises
    ------
    FilmError
        If film or table cannot be read, or the table is not the film's.
    SettingError
        If there are no such frames, no molecule is in them, or facts are neither in ``known`` nor
        in the film.
    """
    allow_partial = frames[1] is not None
    with open_film(path, Selection(pattern=pattern), allow_partial=allow_partial) as film:
        numbers = _chosen(film, frames)
        table = read_molecules(positions)
        film_and_user = facts(film, known)
        places = np.searchsorted(np.asarray(film.corner.frames), np.asarray(numbers))
        frames_adu = np.concatenate([film.read(at, at + 1) for at in places.tolist()])
    step = (numbers.step,) if numbers.step > 1 else ()
    chosen = numbers.start, numbers.stop, *step
    pixel_nm = film_and_user.values["pixel_size_nm"]
    true, outside = _true_molecules(table, numbers, frames_adu.shape, pixel_nm)
    if not len(true.frame):
        raise SettingError(
            f"no molecule of {positions.name} lies in these frames; expected the film's own table, "
            f"and pixels of {pixel_nm:g} nm: check both"
        )
    _check_table(positions, frames_adu, true, pixel_nm)
    started = time.perf_counter()
    all_facts = film_facts(frames_adu, film_and_user, known.camera)
    levels_ms = 1e3 * (time.perf_counter() - started) / len(frames_adu)
    sources = sources_of(film_and_user, known.camera)
    return ComparedFilm(
        path.name,
        chosen,
        frames_adu,
        true,
        all_facts,
        sources,
        outside,
        levels_ms,
        film_and_user.notes,
    )


def _chosen(film: Film, frames: FrameRange) -> range:
    """The frames as numbers of the file, all of which the film has.

    Raises
    ------
    FilmError
        If the film lacks some of them.
    """
    count = film.selection.frames[1] or film.frame_count
    chosen = range(*slice(*frames).indices(count))
    if not chosen:
        raise SettingError(
            f"{frames_text(frames)} names no frame; {film.path.name} has frames 0 to {count - 1}: "
            "choose --frames A:B, B not included"
        )
    lost = next((at for part in film.missing for at in part if at in chosen), None)
    if lost is not None:
        raise FilmError(
            f"{film.path} lacks frame {lost}; expected all frames of {frames_text(frames)}: choose "
            "others with --frames"
        )
    return chosen


def _true_molecules(
    table: Molecules, numbers: Numbers, shape: tuple[int, ...], pixel_nm: float
) -> tuple[Molecules, Outside]:
    _, height, width = shape
    of_these = table.of_frames(numbers)
    inside = in_field(of_these, height_nm=height * pixel_nm, width_nm=width * pixel_nm)
    outside = Outside(len(table.frame) - len(of_these.frame), int((~inside).sum()))
    return of_these.take(inside), outside


def _check_table(
    positions: Path, frames_adu: NDArray[np.uint16], true: Molecules, pixel_nm: float
) -> None:
    """Refuse the table of another film; a single frame passes, as nothing changes in it."""
    order = np.argsort(true.frame, kind="stable")
    sorted_px = np.stack([true.y_nm, true.x_nm], axis=1)[order] / pixel_nm
    firsts = np.searchsorted(true.frame[order], np.arange(1, len(frames_adu)))
    try:
        check_table(frames_adu, np.split(sorted_px, firsts), pixel_nm)
    except FilmError as error:
        raise FilmError(f"{positions}: {error}") from error
