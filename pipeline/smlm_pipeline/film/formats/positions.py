"""Read a file that holds several films: a position is one of them, also where they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Gaps, Source

_LISTED = 8


class Positions(Source):
    """Films of one file; those that differ in size or type are read after `select` chose one."""

    def __init__(self, path: Path, films: Sequence[Source], names: Sequence[str]) -> None:
        self.path, self._films, self._names = path, films, tuple(names)
        self._take(films[0])
        self._alike = len({(film.axes, film.shape, film.dtype) for film in films}) == 1

    def select(self, position: int | None) -> None:
        """Take one of films that differ; films that are alike stay as they are.

        Raises
        ------
        FilmError
            If they differ and ``position`` is none of them.
        """
        if self._alike:
            return
        if position is None or position >= len(self._films):
            pairs = list(zip(self._names, self._films, strict=True))
            names = [f"{i} {name} {film.shape}" for i, (name, film) in enumerate(pairs)]
            more = ", ..." if len(names) > _LISTED else ""
            problem = f"holds {len(pairs)} films: {', '.join(names[:_LISTED])}{more}"
            remedy = f"choose one with --position 0 to {len(pairs) - 1}"
            raise refusal(self.path, problem, remedy)
        self._take(self._films[position])
        gaps = self._films[position].gaps
        if gaps is not None:
            present = gaps.present + position * self._planes_each
            self.gaps = Gaps(present, gaps.reason, gaps.remedy, gaps.state)

    def _take(self, film: Source) -> None:
        """Take the axes and the size of one film for those of all."""
        self.axes, self.shape = f"P{film.axes}", (len(self._films), *film.shape)
        self.dtype, self._chosen = film.dtype, film
        self.labels = {**film.labels, "P": self._names}
        self.pixel_size_nm, self.pixel_doubt = film.pixel_size_nm, film.pixel_doubt
        self.acquired = film.acquired
        self._planes_each = math.prod(film.shape[:-2])

    @property
    def decoded_bytes(self) -> int:
        """That of the chosen film."""
        return self._chosen.decoded_bytes

    def gaps_in(self, y: slice, x: slice) -> Gaps | None:
        """Those of all films; see `Source.gaps_in`."""
        if not self._alike:
            return self.gaps
        gaps = [film.gaps_in(y, x) for film in self._films]
        found = next((gap for gap in gaps if gap), None)
        if found is None:
            return None
        whole = np.arange(self._planes_each)
        present = [
            place * self._planes_each + (gap.present if gap else whole)
            for place, gap in enumerate(gaps)
        ]
        return Gaps(np.concatenate(present), found.reason, found.remedy, found.state)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read the planes of the films; see `Source.read`."""
        first, last = (planes[place] // self._planes_each for place in (0, -1))
        if first == last:
            start = first * self._planes_each
            own = range(planes[0] - start, planes[-1] - start + 1, planes.step)
            return self._films[first].read(own, y, x)
        parts = [self.read(range(plane, plane + 1), y, x) for plane in planes]
        return np.concatenate(parts)

    @property
    def closed(self) -> bool:
        """Whether the films are closed."""
        return self._films[0].closed

    def __exit__(self, *_: object) -> None:
        """Close the films."""
        for film in self._films:
            film.__exit__(None, None, None)
