"""Find frames at the end of a film that were never written: a copy may end in zeros."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats.refusals import AGAIN, damage
from smlm_pipeline.film.formats.source import Gaps, GapsState, Source
from smlm_pipeline.film.frame_numbers import Numbers

LEAST_VALUES = 32
"""Fewer zeros in sequence may be part of a picture."""

LEAST_SHARE = 0.3
"""Least share of the pixels that are above zero in other frames: of fewer, nothing is known."""

_REASON = "the end of the file is zeros, as of a copy that was interrupted"


def without_unwritten(
    source: Source, planes: Numbers, gaps: Gaps | None, y: slice, x: slice
) -> Gaps | None:
    """What a source lacks, with the frames at the end of a film that are zeros or end in them.

    Programs that copy or store a film reserve its whole size first, so that what they did not
    write is zeros. A camera's frame behind a closed shutter has noise. One frame is read, and
    the few that a bisection needs if that one may be unwritten.

    Parameters
    ----------
    source : Source
        The film's reader.
    planes : range or ndarray of int
        The planes of the film that the source has.
    gaps : Gaps or None
        What the source itself knows to be missing.
    y, x : slice
        The region of the planes.
    """
    ignored: tuple[type[Exception], ...] = (FilmError, OSError, MemoryError, *damage())
    try:
        end = _Frames(source, planes, y, x).written(LEAST_VALUES if gaps is None else 1)
    except ignored:
        return gaps  # reading these frames will state what is wrong
    if end == len(planes):
        return gaps
    known = np.arange(math.prod(source.shape[:-2])) if gaps is None else gaps.present
    there = known[~np.isin(known, np.asarray(planes[end:]))].astype(np.int64)
    if gaps is None:
        return Gaps(there, _REASON, AGAIN)
    state: GapsState = "open end" if gaps.state == "open end" else "lacking"
    return Gaps(there, f"{gaps.reason}; {_REASON}", gaps.remedy, state)


class _Frames:
    """The frames of a film as pixels that are above what unwritten bytes give."""

    def __init__(self, source: Source, planes: Numbers, y: slice, x: slice) -> None:
        self._source, self._planes, self._region = source, planes, (y, x)

    def written(self, least: int) -> int:
        """Number of frames before those that end in this many unwritten values or more."""
        count = len(self._planes)
        if count < 2 or _run(self._filled(count - 1)) < least:
            return count
        early = self._early()
        usual = _in_all(early.values())
        if np.count_nonzero(usual) < max(LEAST_SHARE * usual.size, LEAST_VALUES):
            return count

        def is_written(place: int) -> bool:
            return _run(self._filled(place)[usual]) < least

        if is_written(count - 1):
            return count
        known, end = 0, count - 1
        while end - known > 1:
            middle = (known + end) // 2
            known, end = (middle, end) if is_written(middle) else (known, middle)
        others = {end + (count - end) * part // 4 for part in range(4)}
        if any(is_written(place) for place in others):
            return count
        early.pop(end - 1, None)  # which may be written in part
        usual = _in_all(early.values())
        return end - 1 if end > 1 and _run(self._filled(end - 1)[usual]) else end

    def _filled(self, place: int) -> NDArray[np.bool_]:
        plane = int(self._planes[place])
        values = self._source.read(range(plane, plane + 1), *self._region)[0]
        return np.ravel(values != self._source.unwritten_value)

    def _early(self) -> dict[int, NDArray[np.bool_]]:
        """A few early frames that are filled at all, by their places."""
        places = sorted({0, 1, len(self._planes) // 4, len(self._planes) // 2})
        frames = {place: self._filled(place) for place in places if place < len(self._planes) - 1}
        return {place: it for place, it in frames.items() if it.mean() >= LEAST_SHARE}


def _in_all(frames: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The pixels that are filled in all of some frames; none where there is no frame."""
    usual: NDArray[np.bool_] = np.all([*frames] or [np.zeros(1, bool)], axis=0)
    return usual


def _run(filled: NDArray[np.bool_]) -> int:
    """Length of the longer of the runs of unfilled values at the start and at the end."""
    places = np.flatnonzero(filled)
    return (
        max(int(places[0]), filled.size - 1 - int(places[-1])) if len(places) else int(filled.size)
    )
