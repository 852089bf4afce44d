"""Read a folder that holds a folder for each position, as Micro-Manager 1 writes them."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats.file_names import by_pattern
from smlm_pipeline.film.formats.joined import Opener, has_frames_alone
from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Gaps, Source
from smlm_pipeline.film.formats.split_films import counts_samples

_POSITIONS_MAX = 1000


class PositionFolders(Source):
    """Films of equal frames, each the one of a position; they may differ in length."""

    def __init__(self, path: Path, films: list[Source], names: list[str]) -> None:
        self.path, self._films, self._closer = path, films, ExitStack()
        for film in films:
            self._closer.push(film)
        self._length = max(film.shape[0] for film in films)
        self.axes, self.shape = "PTYX", (len(films), self._length, *films[0].shape[-2:])
        self.dtype = films[0].dtype
        self.pixel_size_nm, self.pixel_doubt = films[0].pixel_size_nm, films[0].pixel_doubt
        self.acquired = films[0].acquired
        self.labels = {"P": tuple(names)}
        self.gaps = self._gaps()

    def __exit__(self, *_: object) -> None:
        """Close all films."""
        self._closer.close()

    @property
    def closed(self) -> bool:
        """Whether the films are closed."""
        return any(film.closed for film in self._films)

    @property
    def decoded_bytes(self) -> int:
        """That of the most demanding film."""
        return max(film.decoded_bytes for film in self._films)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read from the film of the position; see `Source.read`."""
        position = planes[0] // self._length
        first = position * self._length
        if planes[-1] - first >= self._length:  # the positions are the frames
            one_by_one = [self.read(range(plane, plane + 1), y, x) for plane in planes]
            return np.concatenate(one_by_one)
        own = range(planes[0] - first, planes[-1] - first + 1, planes.step)
        return self._films[position].read(own, y, x)

    def _gaps(self) -> Gaps | None:
        """Those of the films, and the frames that shorter ones lack."""
        found, total = [], math.prod(self.shape[:2])
        for position, film in enumerate(self._films):
            there = film.gaps.present if film.gaps else np.arange(film.shape[0])
            found.append(position * self._length + there)
        present = np.concatenate(found).astype(np.int64)
        known = next((film.gaps for film in self._films if film.gaps), None)
        if known is None and len(present) == total:
            return None
        reason = known.reason if known else "other positions have more frames"
        return Gaps(present, reason, "if the acquisition was not stopped, copy it again")


def open_positions(folder: Path, inside: list[Path], opener: Opener) -> PositionFolders:
    """Open the films in the folders of a folder, one for each position.

    Raises
    ------
    FilmError
        If they are not films of equal frames.
    """
    names = [path.name for path in inside]
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    other = refusal(
        folder, f"holds films in folders of its own ({listed})", "name the folder of one"
    )
    alike = len(by_pattern(names)) == 1
    described = all((path / "metadata.txt").is_file() for path in inside)
    if len(inside) > _POSITIONS_MAX or not (alike or described):
        raise other
    with ExitStack() as on_error:
        try:
            films = [on_error.enter_context(opener(path)) for path in inside]
        except FilmError:
            raise other from None
        kinds = {(film.shape[-2:], film.dtype) for film in films}
        alone = all(len(film.shape) == 3 and has_frames_alone(film) for film in films)
        of_one_length = len({film.shape[0] for film in films}) == 1
        positions = of_one_length or described or all(map(counts_samples, names))
        if len(kinds) > 1 or not alone or not positions:
            raise other
        source = PositionFolders(folder, films, names)
        on_error.pop_all()
        return source
