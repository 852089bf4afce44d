"""Molecules of a film as a table, found or true, and which of them lie in the field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

_Table = TypeVar("_Table", bound="Molecules")


class Points(Protocol):
    """Whatever tells frame and place of molecules: ``Molecules`` or ``Positions``."""

    @property
    def frame(self) -> NDArray[np.int64]:
        """Frame of each molecule (K,), from 0."""

    @property
    def y_nm(self) -> NDArray[np.float64]:
        """Distance from the upper edge of the first pixel (K,)."""

    @property
    def x_nm(self) -> NDArray[np.float64]:
        """Distance from the left edge of the first pixel (K,)."""


@dataclass(frozen=True)
class Molecules:
    """``frame`` from 0, ``y_nm`` and ``x_nm`` from the corner of the first pixel, each (K,)."""

    frame: NDArray[np.int64]
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]

    def take(self: _Table, which: NDArray[np.bool_]) -> _Table:
        """Those rows for which ``which`` (K,) is true."""
        return type(self)(*(getattr(self, column.name)[which] for column in fields(self)))

    def later(self: _Table, frames: int) -> _Table:
        """The same, so many frames later."""
        return replace(self, frame=self.frame + frames)


@dataclass(frozen=True)
class Localisations(Molecules):
    """Molecules that a network found, with what it says about each.

    ``sigma_y_nm`` and ``sigma_x_nm`` are the standard deviations it predicts for
    the errors of ``y_nm`` and ``x_nm``; ``probability`` is that of a molecule being
    there at all. Each (K,), float64.
    """

    sigma_y_nm: NDArray[np.float64]
    sigma_x_nm: NDArray[np.float64]
    probability: NDArray[np.float64]


def stacked(tables: Iterable[_Table]) -> _Table:
    """One table (K,) of all, in their order; there is at least one."""
    tables = list(tables)
    kind = type(tables[0])
    return kind(
        *(
            np.concatenate([getattr(each, column.name) for each in tables])
            for column in fields(kind)
        )
    )


def in_field(
    points: Points, *, height_nm: float, width_nm: float, border_nm: float = 0.0
) -> NDArray[np.bool_]:
    """Which molecules lie in the field and at least ``border_nm`` from its edges, (K,)."""
    within_y = (points.y_nm >= border_nm) & (points.y_nm < height_nm - border_nm)
    within_x = (points.x_nm >= border_nm) & (points.x_nm < width_nm - border_nm)
    return np.asarray(within_y & within_x)
