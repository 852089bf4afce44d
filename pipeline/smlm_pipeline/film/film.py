"""Open a film: check it once, then hand out its frames a few at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import FilmError, is_of_chunk
from smlm_pipeline.film.completeness import Present, check_complete, present
from smlm_pipeline.film.counts import Counts, counts_of
from smlm_pipeline.film.formats.pixel_size import check_given
from smlm_pipeline.film.formats.refusals import reading, refusal
from smlm_pipeline.film.formats.registry import open_source
from smlm_pipeline.film.formats.source import Gaps, Source
from smlm_pipeline.film.frame_numbers import as_ranges, in_words
from smlm_pipeline.film.memory import check_memory
from smlm_pipeline.film.odd_frames import notes_on_ends, odd_ends
from smlm_pipeline.film.selection import Corner, Selection, View, choose, names_of_chosen
from smlm_pipeline.film.unwritten import without_unwritten
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM


@dataclass(frozen=True)
class PixelSize:
    """Edge of a camera pixel in the sample, and its origin.

    ``notes`` has a remark for the user where the size is assumed.
    """

    nm: float
    origin: Literal["given", "file", "assumed"]
    notes: tuple[str, ...] = ()


class Film(AbstractContextManager["Film"]):
    """An open film, made by `open_film`; a context manager that closes the file.

    Attributes
    ----------
    path : Path
        The film's file or folder.
    frame_count, height_px, width_px : int
        Shape of the film, or of the selected part of it: T, Y, X.
    pixel_size_nm : float or None
        Edge of a camera pixel in the sample; None if the file does not state it.
    acquired : str or None
        When the film was taken, as ISO 8601; None if the file does not state it.
    channel : str
        Name of the chosen channel; empty if the file does not state it.
    selection : Selection
        The selected part of the file, with its frames and region in numbers.
    missing : tuple of range
        Numbers, in the file, of frames of the selection that are left out because the file lacks
        them.
    notes : tuple of str
        Remarks for the user on how the values were read.
    warnings : tuple of str
        Remarks that the user has to see: frames that the file lacks.
    decoded_bytes : int
        What the reader holds while it decodes a frame; see `Source.decoded_bytes`.
    """

    def __init__(
        self, source: Source, view: View, found: Present, counts: Counts, selection: Selection
    ) -> None:
        self.path = source.path
        self.frame_count = len(found.planes)
        self.height_px, self.width_px = (side.stop - side.start for side in (view.y, view.x))
        self.pixel_size_nm, self._pixel_doubt = source.pixel_size_nm, source.pixel_doubt
        self.acquired = source.acquired
        self.channel = _label(source, "C", selection.channel)
        ends, step = (view.frames.start, view.frames.stop), view.frames.step
        self.selection = replace(
            selection,
            frames=ends if step == 1 else (*ends, step),
            roi_px=(view.x.start, view.y.start, self.width_px, self.height_px),
        )
        self._frames_are_chosen = selection.frames != (0, None)
        self.missing = found.missing
        self.notes: tuple[str, ...] = (f"{self.path.name} {counts.note}",) if counts.note else ()
        self.warnings: tuple[str, ...] = ()
        self.decoded_bytes = 0
        self._source, self._view, self._found, self._counts = source, view, found, counts

    @property
    def corner(self) -> Corner:
        """First row and column, and the frames, of the selected part, as the file counts them."""
        view = self._view
        return Corner(view.y.start, view.x.start, self._found.frames, view.frames.step)

    def __exit__(self, *_: object) -> None:
        self._source.__exit__(None, None, None)

    def pixel_size(self, given_nm: float | None = None) -> PixelSize:
        """The size given by the user, else the file's, else the default with a note.

        Raises
        ------
        SettingError
            If no camera pixel has the given size.
        FilmError
            If the file states pixels that are not square, and no size is given.
        """
        if given_nm is not None:
            return PixelSize(check_given(given_nm), "given")
        if self.pixel_size_nm is not None:
            return PixelSize(self.pixel_size_nm, "file")
        doubt = self._pixel_doubt
        if doubt is not None and doubt.refused:
            remedy = "if they are square in fact, give their edge with --pixel-size-nm"
            raise refusal(self.path, doubt.problem, remedy)
        problem = "does not state its pixel size" if doubt is None else doubt.problem
        note = (
            f"{self.path.name} {problem}; assuming {DEFAULT_PIXEL_SIZE_NM:g} nm "
            f"(--pixel-size-nm sets it){doubt.question if doubt is not None else ''}"
        )
        return PixelSize(DEFAULT_PIXEL_SIZE_NM, "assumed", (note,))

    def notes_on_ends(self) -> tuple[str, ...]:
        """Remarks on first or last frames that are another kind of image; it reads a few frames.

        Raises
        ------
        FilmError
            If the file itself keeps the first frames apart, and they are another kind of image.
        """
        if self._frames_are_chosen or self.missing:
            return ()
        ends = odd_ends(self.read, self.frame_count, 2 * self.height_px * self.width_px)
        return notes_on_ends(self.path, ends, self.frame_count, self._source.frames_apart)

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
            problem = f"has frames 0 to {self.frame_count - 1}, not {first} to {last - 1}"
            raise refusal(self.path, problem, "ask for one frame or more of those")
        if self._source.closed:
            raise refusal(self.path, "was closed", "read it inside its with block")
        frames = self._found.frames[first:last]
        where = in_words(as_ranges(frames, self._view.frames.step))
        with reading(self.path, f" in {where}"):
            return self._counts.of(self._values(first, last), frames)

    def _values(self, first: int, last: int) -> NDArray[Any]:
        """The file's values, (last - first, Y, X), read range by range of its planes."""
        view = self._view
        runs = as_ranges(self._found.planes[first:last], view.planes.step)
        if len(runs) == 1:
            return self._source.read(runs[0], view.y, view.x)
        values = np.empty((last - first, self.height_px, self.width_px), self._source.dtype)
        place = 0
        for run in runs:
            values[place : place + len(run)] = self._source.read(run, view.y, view.x)
            place += len(run)
        return values

    def read_all(self) -> NDArray[np.uint16]:
        """All frames at once, (T, Y, X) in ADU, for callers that have the memory.

        Raises
        ------
        FilmError
            If the file is damaged or closed.
        """
        return self.read(0, self.frame_count)


def open_film(
    path: str | Path,
    selection: Selection | None = None,
    *,
    allow_partial: bool = False,
    memory_bytes: int | None = None,
    frames_least: int = 2,
) -> Film:
    """Open a film and check that it is one and complete, without reading it.

    Parameters
    ----------
    path : str or Path
        A file or folder in any format of `smlm_pipeline.film.formats`.
    selection : Selection, optional
        The part of it to take; by default all.
    allow_partial : bool
        Whether to leave out frames that the file lacks instead of refusing the film.
    memory_bytes : int, optional
        The most memory that one frame may take; by default half of the machine's.
    frames_least : int
        Fewest frames: a picture of beads is a film of one.

    Returns
    -------
    Film
        The open film, a context manager: leaving its ``with`` block closes the file. A film
        without one stays open until it is collected.

    Raises
    ------
    FilmError
        If the file cannot be read, lacks frames of the selection, takes more memory, or is not a
        film of grey frames.
    SettingError
        If the selection is not in it.

    Examples
    --------
    >>> with open_film("stack.tif") as film:  # doctest: +SKIP
    ...     first_adu = film.read(0, 1)
    """
    path, selection = Path(path), selection or Selection()
    with reading(path), ExitStack() as on_error:
        source = on_error.enter_context(open_source(path, selection.pattern))
        source.select(selection.position)
        if 0 in source.shape:
            raise refusal(path, "holds no frames", "check that it was saved to the end")
        axes, shape = source.axes, source.shape
        selection = selection.completed(source.named)
        view = choose(path, axes, shape, selection, source.labels)
        gaps = source.gaps_in(view.y, view.x)
        whole = choose(path, axes, shape, replace(selection, frames=(0, None)))

        def complete(gaps: Gaps | None) -> tuple[Present, str | None]:
            found, of_all = present(view, gaps), present(whole, gaps)
            return found, check_complete(
                path, found, of_all, gaps, selection, allow_partial=allow_partial
            )

        found, warning = complete(gaps)
        _check_size(path, view, len(found.planes), frames_least, len(whole.frames))
        decoded_bytes = check_memory(path, source, view, memory_bytes)
        planes = present(whole, gaps).planes
        found, warning = complete(without_unwritten(source, planes, gaps, view.y, view.x))
        _check_size(path, view, len(found.planes), frames_least, len(whole.frames))

        def read_frame(frame: int) -> NDArray[Any]:
            plane = int(found.planes[frame])
            values: NDArray[Any] = source.read(range(plane, plane + 1), view.y, view.x)[0]
            return values

        counts = counts_of(path, source.dtype, found.frames, read_frame)
        film = Film(source, view, found, counts, selection)
        film.warnings = (*source.warnings, *((warning,) if warning else ()))
        film.notes += (*source.notes, *names_of_chosen(path, selection, source.labels))
        film.decoded_bytes = decoded_bytes
        try:
            film.read(0, 1)  # an undecodable film is refused here rather than in the first chunk
        except FilmError as error:
            if not (allow_partial and is_of_chunk(error)):
                raise
        on_error.pop_all()
        return film


def _label(source: Source, axis: str, chosen: int | None) -> str:
    """Name of the chosen place on an axis, or of the only one."""
    names = source.labels.get(axis, ())
    if chosen is None:
        return names[0] if len(names) == 1 else ""
    return names[chosen] if chosen < len(names) else ""


def _check_size(
    path: Path, view: View, frame_count: int, frames_least: int, frames_of_file: int
) -> None:
    if frame_count < frames_least:
        if frames_of_file >= frames_least:
            raise FilmError(
                f"{path} has {frames_of_file:,} frames, of which {frame_count} is to be taken; "
                f"expected at least {frames_least}: choose more with --frames"
            )
        raise FilmError(
            f"{path} holds one frame; a film needs at least 2; expected many frames of molecules "
            "that blink: name the file or folder with all of them"
        )
    height_px, width_px = (side.stop - side.start for side in (view.y, view.x))
    if min(height_px, width_px) < contract.MIN_FRAME_PX:
        small = f"has frames of {height_px} x {width_px} pixels; the network needs at least"
        remedy = "export or choose a larger region"
        raise refusal(path, f"{small} {contract.MIN_FRAME_PX} along an edge", remedy)
