"""The film that all methods get, its truth, and what the methods are told of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_pipeline.stack import open_stack
from smlm_training.comparison.methods.film_facts import EXCESS_NOISE, FilmFacts
from smlm_training.comparison.methods.found import ZOOM
from smlm_training.comparison.table.positions_file import read_molecules
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.estimates import KnownCamera, Value, estimate
from smlm_training.scoring.evaluate import truth_image, widefield_image
from smlm_training.scoring.inference import film_levels, film_mean
from smlm_training.scoring.molecules import Molecules, in_field

DEFAULT_PIXEL_NM = 100.0


@dataclass(frozen=True)
class Known:
    """What the user says of optics and camera; what is None is estimated from the film."""

    camera: str = "emccd"
    pixel_size_nm: float | None = None
    sigma_px: float | None = None
    molecule_photons: float | None = None
    gain_adu_per_photon: float | None = None
    offset_adu: float | None = None


@dataclass(frozen=True)
class ComparedFilm:
    """Frames (T, Y, X) of a film, or of a part of it, with the true molecules of these frames.

    ``first_frame`` is the number in the file of the first of them.
    """

    name: str
    first_frame: int
    frames_adu: NDArray[np.uint16]
    true: Molecules
    facts: FilmFacts

    @property
    def sha256(self) -> str:
        """Of the frames and the positions."""
        total = hashlib.sha256(self.frames_adu.tobytes())
        total.update(self.true.y_nm.tobytes() + self.true.x_nm.tobytes())
        return total.hexdigest()

    @property
    def fine_shape(self) -> tuple[int, int]:
        """Height and width of the fine grid."""
        return ZOOM * self.facts.shape_px[0], ZOOM * self.facts.shape_px[1]

    @property
    def fine_nm(self) -> float:
        """Edge of a fine pixel."""
        return self.facts.pixel_size_nm / ZOOM

    def truth(self) -> NDArray[np.float64]:
        """True emitters per fine pixel, by floor, summed over the frames."""
        return truth_image(
            self.true.y_nm, self.true.x_nm, shape=self.fine_shape, sr_pixel_size_nm=self.fine_nm
        )

    def widefield(self) -> NDArray[np.float64]:
        """What the camera shows alone, on the fine grid."""
        background_adu = float(self.facts.levels_adu[0])
        return widefield_image(self.frames_adu, background_adu=background_adu, zoom=ZOOM)


def open_film(
    stack: Path, positions: Path, frames: tuple[int | None, int | None], known: Known
) -> ComparedFilm:
    """Read frames A to B - 1 of a film into memory, with their true molecules.

    Raises
    ------
    StackError
        If film or table cannot be read.
    SettingError
        If there are no such frames, no molecule is in them, or the film does not tell
        what was left out of ``known``.
    """
    with open_stack(stack) as film:
        pixel_nm = known.pixel_size_nm or film.pixel_size_nm or DEFAULT_PIXEL_NM
        first, last, _ = slice(*frames).indices(film.frame_count)
        if first >= last:
            raise SettingError(
                f"no frames from {first} to {last}; {stack.name} has frames 0 to "
                f"{film.frame_count - 1}: choose --frames A:B, B not included"
            )
        frames_adu = film.read(first, last)
    true = _true_molecules(read_molecules(positions), first, frames_adu.shape, pixel_nm)
    if not len(true.frame):
        raise SettingError(
            f"no molecule of {positions.name} lies in these frames; expected the film's own table, "
            f"and pixels of {pixel_nm:g} nm: check both"
        )
    return ComparedFilm(stack.name, first, frames_adu, true, _facts(frames_adu, pixel_nm, known))


def _true_molecules(
    table: Molecules, first: int, shape: tuple[int, ...], pixel_nm: float
) -> Molecules:
    count, height, width = shape
    shifted = Molecules(table.frame - first, table.y_nm, table.x_nm)
    inside = in_field(shifted, height_nm=height * pixel_nm, width_nm=width * pixel_nm)
    return shifted.take(inside & (shifted.frame >= 0) & (shifted.frame < count))


def _facts(frames_adu: NDArray[np.uint16], pixel_nm: float, known: Known) -> FilmFacts:
    if known.camera not in EXCESS_NOISE:
        raise SettingError(f"camera is {known.camera!r}; expected one of {', '.join(EXCESS_NOISE)}")
    asked = ("sigma_px", "molecule_photons", "gain_adu_per_photon", "offset_adu")
    told = {name: getattr(known, name) for name in asked}
    if None in told.values():
        told = _estimated(frames_adu, known, told)
    return FilmFacts(
        shape_px=(frames_adu.shape[1], frames_adu.shape[2]),
        pixel_size_nm=pixel_nm,
        sigma_px=told["sigma_px"],
        molecule_photons=told["molecule_photons"],
        adu_per_photon=told["gain_adu_per_photon"],
        offset_adu=told["offset_adu"],
        excess_noise=EXCESS_NOISE[known.camera],
        levels_adu=film_levels(frames_adu),
        mean_adu=film_mean(frames_adu),
    )


def _estimated(
    frames_adu: NDArray[np.uint16], known: Known, told: dict[str, float | None]
) -> dict[str, float]:
    """What was not told, as ``recon-train match`` estimates it."""
    camera = KnownCamera(KINDS[known.camera], known.gain_adu_per_photon, known.offset_adu)
    found = estimate(frames_adu, camera)
    names = {"molecule_photons": "photons"}
    values: dict[str, float] = {}
    for name, value in told.items():
        estimated: Value = getattr(found, names.get(name, name))
        if value is None and not estimated.relative_error < 1:
            raise SettingError(
                f"the film does not tell its {name}; give it with --{name.replace('_', '-')} "
                "('recon-train match' says how sure it is of each)"
            )
        values[name] = estimated.value if value is None else value
    return values
