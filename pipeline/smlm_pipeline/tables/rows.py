"""Blocks of a table of molecules: columns with units, and what is known of the whole table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "frame": "<i8",
        "x_nm": "<f8",
        "y_nm": "<f8",
        "z_nm": "<f8",
        "spot_sigma_x_nm": "<f8",
        "spot_sigma_y_nm": "<f8",
        "photons": "<f8",
        "background_photons": "<f8",
        "intensity_adu": "<f8",
        "background_adu": "<f8",
        "uncertainty_x_nm": "<f8",
        "uncertainty_y_nm": "<f8",
        "uncertainty_photons": "<f8",
        "uncertainty_intensity_adu": "<f8",
        "probability": "<f8",
        "detections": "<i8",
    }
)
"""Names and types of all columns that a table may have, in their order.

``frame`` counts from 0. ``x_nm`` (to the right) and ``y_nm`` (down) are distances from the upper
left corner of the first camera pixel, ``z_nm`` that from the focal plane. ``spot_sigma_*_nm`` is
the width of the spot on the camera, ``uncertainty_*_nm`` the standard deviation of the error of
the place. ``photons`` are those of the spot, ``background_photons`` those of a pixel beneath it;
where the camera's gain is not known, ``intensity_adu`` is the light of the spot as the camera reads
it, and ``background_adu`` the reading beneath it, the camera's offset included.
``uncertainty_photons`` and ``uncertainty_intensity_adu`` are the standard deviations of the errors
of the light.
``probability`` is that of the molecule's existence, ``detections`` the number of frames that were
joined to one row.
"""

READ_ROWS = 1 << 17
"""Rows of a table that are read at once."""

PLACE = ("frame", "x_nm", "y_nm")
"""The columns that every table has."""


@dataclass(frozen=True)
class Rows:
    """Some molecules: columns of `COLUMNS`, each of shape (K,)."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["frame"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, (K,)."""
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of `COLUMNS`."""
        return tuple(name for name in COLUMNS if name in self.columns)

    def take(self, rows: NDArray[Any] | slice) -> Rows:
        """Those rows: a mask (K,), indices, or a slice."""
        return Rows({name: column[rows] for name, column in self.columns.items()})

    def as_records(self) -> NDArray[Any]:
        """The rows as records, (K,), with the fields of `record_type`."""
        records = np.empty(len(self), record_type(self.names))
        for name in self.names:
            records[name] = self.columns[name]
        return records


def rows_of(records: NDArray[Any]) -> Rows:
    """Records (K,) as columns."""
    return Rows({name: np.ascontiguousarray(records[name]) for name in records.dtype.names or ()})


def record_type(names: Iterable[str]) -> np.dtype[Any]:
    """The type of a record with these columns."""
    wanted = set(names)
    return np.dtype([(name, kind) for name, kind in COLUMNS.items() if name in wanted])


@dataclass(frozen=True)
class TableFacts:
    """What is known of a table beside its rows.

    ``columns`` are those of its rows. ``width_px`` and ``height_px`` are the right and lower ends
    of the field, ``frame_count`` the number of frames up to the last; each is None where it is
    not known. ``provenance`` is the making of the table, for its metadata.
    """

    columns: tuple[str, ...]
    pixel_size_nm: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    frame_count: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """An open table: its facts, and a function that reads its rows in blocks, in any order.

    ``row_count`` is None where only reading counts them; ``ignored`` are columns that are not
    read.
    """

    facts: TableFacts
    blocks: Callable[[], Iterator[Rows]]
    row_count: int | None = None
    ignored: tuple[str, ...] = ()
