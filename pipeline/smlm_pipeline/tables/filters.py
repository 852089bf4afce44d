"""Select rows of a table by probability, uncertainty, photons, frames and region."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables.rows import Rows

_NEEDED = {
    "probability_min": ("probability",),
    "uncertainty_max_nm": ("uncertainty_x_nm", "uncertainty_y_nm"),
    "photons_min": ("photons",),
    "photons_max": ("photons",),
}
"""Columns that a filter reads, beside frame and place."""


@dataclass(frozen=True)
class Filters:
    """Conditions that a row must meet, all of them; None is no condition.

    ``uncertainty_max_nm`` limits the larger one of those in x and y, ``frames`` are the first,
    the last (excluded; None is the end) and the step of frames that count from 0, and
    ``region_nm`` is x, y, width and height, from the corner of the first pixel. A value that is
    not a number meets no condition.
    """

    probability_min: float | None = None
    uncertainty_max_nm: float | None = None
    photons_min: float | None = None
    photons_max: float | None = None
    frames: tuple[int, int | None, int] | None = None
    region_nm: tuple[float, float, float, float] | None = None

    def check(self, columns: tuple[str, ...]) -> None:
        """Refuse a condition on a column that a table does not have.

        Raises
        ------
        SettingError
            If there is one.
        """
        for each in fields(self):
            missing = set(_NEEDED.get(each.name, ())) - set(columns)
            if missing and getattr(self, each.name) is not None:
                remedy = f"expected one of its columns: {', '.join(columns)}"
                if missing == {"photons"} and "intensity_adu" in columns:
                    remedy = (
                        "expected the camera, since the table is in ADU: give "
                        "--gain-adu-per-photon, or --camera FILE"
                    )
                raise SettingError(
                    f"--{each.name.replace('_', '-')} needs {', '.join(sorted(missing))}, which "
                    f"the table does not have; {remedy}"
                )

    def keep(self, rows: Rows) -> Rows:
        """The rows that meet all conditions."""
        kept = np.ones(len(rows), bool)
        if self.probability_min is not None:
            kept &= rows["probability"] >= self.probability_min
        if self.uncertainty_max_nm is not None:
            for axis in "xy":
                kept &= rows[f"uncertainty_{axis}_nm"] <= self.uncertainty_max_nm
        if self.photons_min is not None:
            kept &= rows["photons"] >= self.photons_min
        if self.photons_max is not None:
            kept &= rows["photons"] <= self.photons_max
        if self.frames is not None:
            kept &= _in_frames(rows["frame"], *self.frames)
        if self.region_nm is not None:
            kept &= within(rows, self.region_nm)
        return rows if kept.all() else rows.take(kept)


def within(rows: Rows, region_nm: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Which rows are in a region (x, y, width, height), (K,)."""
    left, top, width, height = region_nm
    in_x = (rows["x_nm"] >= left) & (rows["x_nm"] < left + width)
    return np.asarray(in_x & (rows["y_nm"] >= top) & (rows["y_nm"] < top + height))


def _in_frames(frame: NDArray[Any], first: int, last: int | None, step: int) -> NDArray[np.bool_]:
    kept = (frame >= first) & ((frame - first) % step == 0)
    return np.asarray(kept if last is None else kept & (frame < last))
