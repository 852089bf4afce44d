"""Write a film of the suite as files: the frames and the true positions."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tifffile

from smlm_bench.structures.films import FilmLine, SuiteFilm, film_lines, make_film
from smlm_bench.structures.shape import PIXEL_SIZE_NM
from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.table_files import ThunderstormWriter

FILM, POSITIONS, LINE = "stack.tif", "positions.csv", "film.json"


@dataclass(frozen=True)
class WrittenFilm:
    """A film that was written, its number of emitters, and the camera's mean gain and offset."""

    line: FilmLine
    emitters: int
    gain_adu_per_photon: float
    offset_adu: float

    def table_options(self, folder: Path) -> str:
        """The film and its true facts, as `recon-bench table` takes them."""
        words: list[object] = [folder / FILM, "--positions", folder / POSITIONS]
        words += ["--sigma-px", f"{self.line.sigma_px:g}"]
        words += ["--molecule-photons", f"{self.line.photons:g}"]
        words += ["--gain-adu-per-photon", f"{self.gain_adu_per_photon:g}"]
        words += ["--offset-adu", f"{self.offset_adu:g}", "--camera", self.line.camera]
        return shlex.join(map(str, words))


def named_line(name: str) -> FilmLine:
    """The line of the film of this name.

    Raises
    ------
    SettingError
        If the suite has no such film.
    """
    lines = {line.name: line for line in film_lines()}
    if name not in lines:
        raise SettingError(f"no film is called {name!r}; expected one of {', '.join(lines)}")
    return lines[name]


def write_film(folder: Path, line: FilmLine) -> WrittenFilm:
    """Simulate a film into a folder, all its files or none.

    ``stack.tif`` is an ImageJ TIFF with the pixel size in its metadata, ``positions.csv`` has
    ThunderSTORM's columns and the emitters in the field, ``film.json`` the line of the suite.

    Parameters
    ----------
    folder : Path
        Is made if need be; files of these names are replaced.
    line : FilmLine
        The film.
    """
    film = make_film(line)
    gain = float(np.mean(film.camera.gain_adu))
    offset_adu = float(np.mean(film.camera.offset_adu))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".simulating-") as beside:
        partial = Path(beside)
        _write_frames(partial / FILM, film)
        _write_positions(partial / POSITIONS, film, offset_photons=offset_adu / gain)
        text = json.dumps(asdict(line), indent=2)
        (partial / LINE).write_text(f"{text}\n", encoding="utf-8")
        for name in (FILM, POSITIONS, LINE):
            (partial / name).replace(folder / name)
    return WrittenFilm(line, len(film.emitters.frame), round(gain, 3), round(offset_adu, 1))


def _write_frames(path: Path, film: SuiteFilm) -> None:
    tifffile.imwrite(
        path,
        film.frames_adu,
        imagej=True,
        photometric="minisblack",
        resolution=(1000 / PIXEL_SIZE_NM,) * 2,
        metadata={"axes": "TYX", "unit": "um"},
    )


def _write_positions(path: Path, film: SuiteFilm, *, offset_photons: float) -> None:
    emitters, line = film.emitters, film.line
    count = len(emitters.frame)
    with path.open("w", newline="", encoding="utf-8") as stream:
        ThunderstormWriter(stream).add(
            emitters.molecules(),
            sigma_nm=np.full(count, line.sigma_px * PIXEL_SIZE_NM),
            photons=emitters.photons,
            offset_photons=np.full(count, offset_photons),
            noise_photons=np.full(count, line.background_photons**0.5),
        )
