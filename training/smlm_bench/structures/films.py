"""The films of the suite: a table with a film a line, and the film made of a line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures import areas, kinetics, lines
from smlm_bench.structures.cameras import Camera, CameraKind, camera
from smlm_bench.structures.optics import Optics, PsfKind, optics
from smlm_bench.structures.shape import FIELD_PX, PIXEL_SIZE_NM, Shape, surroundings_um2
from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.table import Molecules

Half = Literal["choose", "report"]
"""The films that networks are chosen by, and those that are reported: never the same."""

HALVES = get_args(Half)

FILMS_FILE = Path(__file__).with_name("films.csv")

STRUCTURES: Mapping[str, Callable[[np.random.Generator, float], Shape]] = {
    "straight": lines.straight,
    "waves": lines.waves,
    "worms": lines.worms,
    "spiral": lines.spiral,
    "mesh": lines.mesh,
    "voronoi": lines.voronoi,
    "rings": lines.rings,
    "dots": lines.dots,
    "letters": lines.letters,
    "star": areas.star,
    "bundles": areas.bundles,
    "blobs": areas.blobs,
    "uniform": areas.uniform,
}
"""Builders of structures."""

_SLOPE = 0.2
"""The background rises by this share of its mean from the middle of the field to one side."""


@dataclass(frozen=True)
class FilmLine:
    """A line of the table.

    ``length_um`` is the one length that rules the structure, ``density_per_um2`` the emitters of a
    frame in a square micrometre within 150 nm of it. ``on_frames`` is the mean number of frames
    that a molecule shines for, 0 for independent frames. ``photons`` of a molecule in a frame
    vary log-normally by ``photon_spread`` of their mean.
    """

    name: str
    half: Half
    structure: str
    length_um: float
    density_per_um2: float
    on_frames: float
    psf: PsfKind
    sigma_px: float
    photons: float
    photon_spread: float
    background_photons: float
    camera: CameraKind
    frames: int
    seed: int


@dataclass(frozen=True)
class Emitters:
    """All emitters of a film, in the field and its border, frame by frame.

    ``frame`` (K,) int64, ``place_px`` (K, 2), ``photons`` (K,) float64 and ``plane`` (K,) int64,
    the plane of the optics.
    """

    frame: NDArray[np.int64]
    place_px: NDArray[np.float64]
    photons: NDArray[np.float64]
    plane: NDArray[np.int64]

    def in_field(self) -> Emitters:
        """The emitters within the field."""
        inside = np.all((self.place_px >= 0) & (self.place_px < FIELD_PX), axis=1)
        return Emitters(
            self.frame[inside], self.place_px[inside], self.photons[inside], self.plane[inside]
        )

    def molecules(self) -> Molecules:
        """Their frames and places in nm."""
        y_nm, x_nm = self.place_px.T * PIXEL_SIZE_NM
        return Molecules(self.frame, y_nm, x_nm)


@dataclass(frozen=True)
class SuiteFilm:
    """A film and all that is known of it.

    ``frames_adu`` (T, Y, X) uint16; ``emitters`` are those in the field.
    """

    line: FilmLine
    shape: Shape
    optics: Optics
    camera: Camera
    emitters: Emitters
    frames_adu: NDArray[np.uint16]


def film_lines(half: str = "all", file: Path = FILMS_FILE) -> list[FilmLine]:
    """Read the table of films.

    Parameters
    ----------
    half : str
        ``choose``, ``report`` or ``all``.
    file : Path
        The table.

    Raises
    ------
    SettingError
        If there is no such half.
    """
    if half not in (*HALVES, "all"):
        raise SettingError(f"half is {half!r}; expected one of {', '.join(HALVES)}, all")
    types = get_type_hints(FilmLine)
    with file.open(encoding="utf-8", newline="") as stream:
        found = [_line(row, types) for row in csv.DictReader(stream)]
    return [line for line in found if half in (line.half, "all")]


def _line(row: Mapping[str, str], types: Mapping[str, Any]) -> FilmLine:
    values: dict[str, Any] = {
        name: types[name](value) if types[name] in (int, float) else value
        for name, value in row.items()
    }
    return FilmLine(**values)


def make_film(line: FilmLine, drift_px: NDArray[np.float64] | None = None) -> SuiteFilm:
    """Simulate the film of a line; the same line always gives the same film.

    The sample drifts by ``drift_px`` (frames, 2), y and x, while its film is taken; the emitters
    of the answer are those at rest.

    Raises
    ------
    SettingError
        If it names a structure, a PSF or a camera that does not exist.
    """
    if line.structure not in STRUCTURES:
        raise SettingError(
            f"structure is {line.structure!r}; expected one of {', '.join(STRUCTURES)}"
        )
    rng = np.random.default_rng(line.seed)
    shape = STRUCTURES[line.structure](rng, line.length_um)
    seen_by, taken_by = optics(line.psf, line.sigma_px), camera(line.camera, rng, FIELD_PX)
    emitters = _emitters(rng, line, shape, seen_by.planes)
    moved_px = 0 if drift_px is None else drift_px[emitters.frame]
    photons = seen_by.film(
        emitters.frame, emitters.place_px + moved_px, emitters.photons, emitters.plane, line.frames
    )
    photons += _background(rng, line.background_photons)
    return SuiteFilm(
        line, shape, seen_by, taken_by, emitters.in_field(), taken_by.expose(rng, photons)
    )


def _emitters(rng: np.random.Generator, line: FilmLine, shape: Shape, planes: int) -> Emitters:
    mean_count = line.density_per_um2 * surroundings_um2(shape)
    if line.on_frames:
        frame, place_px, molecule = kinetics.persistent(
            rng, shape, mean_count=mean_count, frames=line.frames, on_frames=line.on_frames
        )
    else:
        frame, place_px, molecule = kinetics.independent(
            rng, shape, mean_count=mean_count, frames=line.frames
        )
    count = int(molecule.max(initial=-1)) + 1
    variance = np.log1p(line.photon_spread**2)
    photons = rng.lognormal(np.log(line.photons) - variance / 2, np.sqrt(variance), count)
    plane = rng.integers(planes, size=count)
    return Emitters(frame, place_px, photons[molecule], plane[molecule])


def _background(rng: np.random.Generator, mean_photons: float) -> NDArray[np.float32]:
    """Photons (Y, X) that rise evenly in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, FIELD_PX)
    rise = (np.sin(angle) * across[:, None] + np.cos(angle) * across) / np.sqrt(2)
    photons: NDArray[np.float32] = (mean_photons * (1 + _SLOPE * rise)).astype(np.float32)
    return photons
