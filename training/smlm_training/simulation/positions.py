"""ThunderSTORM's table of positions: nm from the corner of the first pixel, frames from 1."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_training.simulation.simulate import Emitters

COLUMNS = (
    "id",
    "frame",
    "x [nm]",
    "y [nm]",
    "sigma [nm]",
    "intensity [photon]",
    "offset [photon]",
    "bkgstd [photon]",
)
"""Columns of ThunderSTORM's simulator (doi 10.1093/bioinformatics/btu202), in its order."""

_ROW = "%d,%d" + 6 * ",%.5f" + "\n"

_NEEDED = ("frame", "y [nm]", "x [nm]")


@dataclass(frozen=True)
class Positions:
    """True molecules of a film: ``frame`` (K,) from 0, ``y_nm`` and ``x_nm`` (K,)."""

    frame: NDArray[np.int64]
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]

    def first_frames(self, frames: int) -> Positions:
        """Those of the first ``frames`` frames."""
        among = (self.frame >= 0) & (self.frame < frames)
        return Positions(self.frame[among], self.y_nm[among], self.x_nm[among])

    def by_frame(self, frames: int, pixel_size_nm: float) -> list[NDArray[np.float64]]:
        """For each of ``frames`` frames y and x (K, 2) of its emitters, in camera pixels.

        Raises
        ------
        FilmError
            If there are emitters of other frames.
        """
        if len(self.frame) and not 0 <= self.frame.min() <= self.frame.max() < frames:
            raise FilmError(
                f"the table tells of frames {self.frame.min() + 1} to {self.frame.max() + 1}, the "
                f"film has {frames}; expected the table of this film"
            )
        order = np.argsort(self.frame, kind="stable")
        sorted_px = np.stack([self.y_nm, self.x_nm], axis=1)[order] / pixel_size_nm
        return np.split(sorted_px, np.searchsorted(self.frame[order], np.arange(1, frames)))


def read_positions(path: Path) -> Positions:
    """Read a ThunderSTORM table; columns may come in any order.

    Raises
    ------
    FilmError
        If the file is not such a table, or a number in it is not finite.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            missing = [name for name in _NEEDED if name not in (table.fieldnames or ())]
            if missing:
                raise ValueError(f"no column {', '.join(missing)}")
            rows = [[float(row[name]) for name in _NEEDED] for row in table]
        columns = np.array(rows).reshape(-1, len(_NEEDED)).T
        if not np.isfinite(columns).all():
            raise ValueError("a number is not finite")
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise FilmError(
            f"{path} is not a ThunderSTORM table ({type(error).__name__}: {error}); expected a "
            'CSV file with the columns "frame", "x [nm]" and "y [nm]"'
        ) from error
    frame, y_nm, x_nm = columns
    return Positions(frame.astype(np.int64) - 1, y_nm, x_nm)


class PositionsTable:
    """A table that is written as ThunderSTORM's simulator does, frames after frames.

    Its ``offset`` is the camera's base level in photons, and ``bkgstd`` the square
    root of the background's photons, which is a number, or one for each pixel, shape
    (height_px, width_px).
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        height_px: int,
        width_px: int,
        pixel_size_nm: float,
        offset_photons: float,
        background_photons: float | NDArray[np.float64],
    ) -> None:
        self._stream = stream
        self._pixel_size_nm = pixel_size_nm
        self._offset_photons = offset_photons
        self._noise_photons = np.broadcast_to(np.sqrt(background_photons), (height_px, width_px))
        self.frames = 0
        self.molecules = 0
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(COLUMNS)

    def add(self, emitters: Emitters) -> None:
        """Write the molecules of the next frames that lie in the field."""
        inside = np.nonzero(emitters.inside(*self._noise_photons.shape))
        count = len(inside[0])
        y_px, x_px = emitters.y_px[inside], emitters.x_px[inside]
        rows = (
            np.arange(self.molecules + 1, self.molecules + 1 + count),
            self.frames + 1 + inside[0],
            x_px * self._pixel_size_nm,
            y_px * self._pixel_size_nm,
            emitters.sigma_px[inside] * self._pixel_size_nm,
            emitters.photons[inside],
            np.full(count, self._offset_photons),
            self._noise_photons[y_px.astype(int), x_px.astype(int)],
        )
        values = zip(*(column.tolist() for column in rows), strict=True)
        self._stream.writelines(map(_ROW.__mod__, values))
        self.frames += len(emitters.photons)
        self.molecules += count
