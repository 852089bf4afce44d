"""Tables of molecules in memory: positions, true or found, and localisations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError

_Table = TypeVar("_Table", bound="Molecules")


@dataclass(frozen=True)
class Molecules:
    """Positions of molecules: a film's true emitters, or the molecules found in it.

    ``frame`` (K,) int64 counts from 0; ``y_nm`` and ``x_nm`` (K,) float64 are the distances
    from the upper and left edges of the first pixel.
    """

    frame: NDArray[np.int64]
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]

    def take(self: _Table, rows: NDArray[np.bool_]) -> _Table:
        """The table of those rows for which ``rows`` (K,) is true."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def later(self: _Table, frames: int) -> _Table:
        """The same table, ``frames`` frames later."""
        return replace(self, frame=self.frame + frames)

    def of_frames(self: _Table, numbers: Sequence[int] | NDArray[np.int64]) -> _Table:
        """The rows of frames with these numbers, ascending, numbered from 0 in this order."""
        chosen = np.asarray(numbers, np.int64)
        places = np.searchsorted(chosen, self.frame)
        found = chosen[np.minimum(places, len(chosen) - 1)] == self.frame
        return replace(self.take(found), frame=places[found])

    def by_frame(self, count: int, pixel_size_nm: float) -> list[NDArray[np.float64]]:
        """For each of ``count`` frames y and x (K, 2) of its molecules, in camera pixels.

        Raises
        ------
        FilmError
            If the table has molecules of other frames.
        """
        if len(self.frame) and not 0 <= self.frame.min() <= self.frame.max() < count:
            raise FilmError(
                f"the table has frames {self.frame.min() + 1} to {self.frame.max() + 1}, the film "
                f"has {count}; expected the table of this film"
            )
        order = np.argsort(self.frame, kind="stable")
        sorted_px = np.stack([self.y_nm, self.x_nm], axis=1)[order] / pixel_size_nm
        return np.split(sorted_px, np.searchsorted(self.frame[order], np.arange(1, count)))


@dataclass(frozen=True)
class Localisations(Molecules):
    """Molecules that a network found, with its own estimate of their errors.

    ``sigma_y_nm`` and ``sigma_x_nm`` are the predicted standard deviations of the errors of
    ``y_nm`` and ``x_nm``; ``probability`` is the predicted probability that the molecule
    exists; ``intensity`` and ``sigma_intensity`` are its light and the predicted standard deviation
    of the light's error, in units of the frame's scale. Each (K,), float64.
    """

    sigma_y_nm: NDArray[np.float64]
    sigma_x_nm: NDArray[np.float64]
    probability: NDArray[np.float64]
    intensity: NDArray[np.float64]
    sigma_intensity: NDArray[np.float64]


def stacked(tables: Iterable[_Table]) -> _Table:
    """One table (K,) of all rows, in the order of the tables; at least one is needed."""
    tables = list(tables)
    kind = type(tables[0])
    return kind(
        *(
            np.concatenate([getattr(table, column.name) for table in tables])
            for column in fields(kind)
        )
    )


def in_field(
    molecules: Molecules, *, height_nm: float, width_nm: float, border_nm: float = 0.0
) -> NDArray[np.bool_]:
    """Which molecules are in the field and at least ``border_nm`` from its edges, (K,)."""
    within_y = (molecules.y_nm >= border_nm) & (molecules.y_nm < height_nm - border_nm)
    within_x = (molecules.x_nm >= border_nm) & (molecules.x_nm < width_nm - border_nm)
    return np.asarray(within_y & within_x)
