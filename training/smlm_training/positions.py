"""ThunderSTORM's table of positions: nm from the corner of the first pixel, frames from 1."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import StackError
from smlm_training.simulate import Emitters

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

_NEEDED = ("frame", "y [nm]", "x [nm]")


@dataclass(frozen=True)
class Positions:
    """True molecules of a film: ``frame`` (K,) from 0, ``y_nm`` and ``x_nm`` (K,)."""

    frame: NDArray[np.int64]
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]


def read_positions(path: Path) -> Positions:
    """Read a ThunderSTORM table; columns may come in any order.

    Raises
    ------
    StackError
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
        raise StackError(
            f"{path} is not a ThunderSTORM table ({type(error).__name__}: {error}); expected a "
            'CSV file with the columns "frame", "x [nm]" and "y [nm]"'
        ) from error
    frame, y_nm, x_nm = columns
    return Positions(frame.astype(np.int64) - 1, y_nm, x_nm)


def write_positions(
    path: Path,
    emitters: Emitters,
    *,
    height_px: int,
    width_px: int,
    pixel_size_nm: float,
    offset_photons: float,
    background_photons: float,
) -> None:
    """Write the molecules that lie in the field as ThunderSTORM's simulator does.

    Its ``offset`` is the camera's base level in photons, and ``bkgstd`` the square
    root of the background's photons.
    """
    frames, places = np.nonzero(emitters.inside(height_px, width_px))
    with path.open("w", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(COLUMNS)
        rows = csv.writer(stream, lineterminator="\n")
        for index, where in enumerate(zip(frames, places, strict=True), start=1):
            values = (
                emitters.x_px[where] * pixel_size_nm,
                emitters.y_px[where] * pixel_size_nm,
                emitters.sigma_px[where] * pixel_size_nm,
                emitters.photons[where],
                offset_photons,
                background_photons**0.5,
            )
            rows.writerow([index, where[0] + 1, *(f"{value:.5f}" for value in values)])
