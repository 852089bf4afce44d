"""Opening the film: checks once what it is, then hands out frames a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.counts import Counts, counts_of
from smlm_pipeline.film.formats.refusals import reading, refusal
from smlm_pipeline.film.formats.registry import open_source
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.selection import Corner, Selection, View, choose


class Film(AbstractContextManager["Film"]):
    """An open film, made by `open_stack`; a context manager that closes the file.

    Attributes
    ----------
    path : Path
        Where the film lies.
    frame_count, height_px, width_px : int
        Shape of the film, or of the part of it that was asked for: T, Y, X.
    pixel_size_nm : float or None
        Edge of a camera pixel in the sample; None if the file does not tell.
    selection : Selection
        The part of the file that is the film, with its frames and region in numbers.
    notes : tuple of str
        What the user should know of how the file was read.
    """

    def __init__(self, source: Source, view: View, counts: Counts, selection: Selection) -> None:
        self.path = source.path
        self.frame_count = len(view.planes)
        self.height_px, self.width_px = (side.stop - side.start for side in (view.y, view.x))
        self.pixel_size_nm = source.pixel_size_nm
        first = selection.frames[0]
        self.selection = replace(
            selection,
            frames=(first, first + self.frame_count),
            roi_px=(view.x.start, view.y.start, self.width_px, self.height_px),
        )
        self.notes: tuple[str, ...] = (f"{self.path.name} {counts.note}",) if counts.note else ()
        self._source, self._view, self._counts = source, view, counts

    @property
    def corner(self) -> Corner:
        """Where the part of the file begins that is the film."""
        x_px, y_px = (self.selection.roi_px or (0, 0))[:2]
        return Corner(self.selection.frames[0], y_px, x_px)

    def __exit__(self, *_: object) -> None:
        self._source.__exit__(None, None, None)

    def read(self, first: int, last: int) -> NDArray[np.uint16]:
        """Frames ``first`` to ``last - 1``, and nothing else of the film.

        Parameters
        ----------
        first, last : int
            Range of frames, 0 <= first < last <= frame_count.

        Returns
        -------
        ndarray, shape (last - first, Y, X), uint16
            Frames in ADU, independent of the file.

        Raises
        ------
        FilmError
            If the range is not in the film, the file is damaged there, or it is closed.
        """
        if not 0 <= first < last <= self.frame_count:
            holds = f"has frames 0 to {self.frame_count - 1}, not {first} to {last - 1}"
            raise refusal(self.path, holds, "ask for one frame or more of those")
        if self._source.closed:
            raise refusal(self.path, "was closed", "read it inside its with block")
        view, skipped = self._view, self.corner.frame
        told_first, told_last = skipped + first, skipped + last - 1
        where = (
            f"frame {told_first}" if last == first + 1 else f"frames {told_first} to {told_last}"
        )
        with reading(self.path, f" in {where}"):
            values = self._source.read(view.planes[first:last], view.y, view.x)
            return self._counts.of(values, told_first)


def open_film(path: str | Path, selection: Selection | None = None) -> Film:
    """Open a film and check that it is one, without reading it.

    Parameters
    ----------
    path : str or Path
        A file or folder of any format that `smlm_pipeline.film.formats` reads.
    selection : Selection, optional
        The part of it to take; by default all.

    Returns
    -------
    Film
        The open film, a context manager: leaving its ``with`` block closes the file. A film
        without one stays open until it is collected.

    Raises
    ------
    FilmError
        If the file cannot be read, is cut short, or is not a film of grey frames.
    SettingError
        If the selection is not in it.

    Examples
    --------
    >>> with open_film("stack.tif") as film:  # doctest: +SKIP
    ...     first_adu = film.read(0, 1)
    """
    path, selection = Path(path), selection or Selection()
    with reading(path), ExitStack() as on_error:
        source = on_error.enter_context(open_source(path))
        if 0 in source.shape:
            raise refusal(path, "holds no frames", "check that it was saved to the end")
        view = choose(path, source.axes, source.shape, selection)
        _check_size(path, view)
        planes = view.planes
        counts = counts_of(
            path,
            source.dtype,
            selection.frames[0],
            len(planes),
            lambda frame: source.read(planes[frame : frame + 1], view.y, view.x)[0],
        )
        stack = Film(source, view, counts, selection)
        stack.read(0, 1)  # now rather than in the first chunk: can it be decoded?
        on_error.pop_all()
        return stack


def _check_size(path: Path, view: View) -> None:
    if len(view.planes) < 2:
        raise refusal(path, "holds one frame; a film needs at least 2", "export the raw film")
    height_px, width_px = (side.stop - side.start for side in (view.y, view.x))
    if min(height_px, width_px) < contract.MIN_FRAME_PX:
        small = f"has frames of {height_px} x {width_px} pixels; the network needs at least"
        remedy = "export or choose a larger region"
        raise refusal(path, f"{small} {contract.MIN_FRAME_PX} along an edge", remedy)


def read_film(path: Path) -> NDArray[np.uint16]:
    """Frames (T, Y, X), in ADU.

    Raises
    ------
    FilmError
        If the file cannot be read, or holds no 8- or 16-bit unsigned frames.
    """
    return read_pixels(
        path,
        "film of 8- or 16-bit unsigned frames, (T, Y, X)",
        lambda found: found.ndim == 3 and found.dtype in (np.uint8, np.uint16),
    ).astype(np.uint16)


def read_pixels(path: Path, expected: str, fits: Callable[[NDArray[Any]], bool]) -> NDArray[Any]:
    """Pixels of a TIFF file, if they are what is expected.

    Raises
    ------
    FilmError
        If the file cannot be read, or its pixels do not fit; with ``expected`` in the message.
    """
    try:
        pixels = tifffile.imread(path)
    except (OSError, ValueError) as error:
        raise FilmError(f"cannot read {path} ({error}); expected a TIFF {expected}") from error
    if not fits(pixels):
        raise FilmError(
            f"{path} has shape {pixels.shape} and dtype {pixels.dtype}; expected a {expected}"
        )
    return pixels
