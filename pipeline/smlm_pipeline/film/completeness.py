"""Find the frames of a film that its file lacks; refuse the film, or leave these frames out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Gaps
from smlm_pipeline.film.frame_numbers import Numbers, in_words
from smlm_pipeline.film.selection import Selection, View


@dataclass(frozen=True)
class Present:
    """Frames of a view that the file has.

    ``planes`` and ``frames`` are their planes in the file and their numbers along the axis of
    the frames; ``missing`` are the numbers of the others, as ranges.
    """

    planes: Numbers
    frames: Numbers
    missing: tuple[range, ...] = ()

    @property
    def missing_count(self) -> int:
        """Number of missing frames."""
        return sum(map(len, self.missing))


def present(view: View, gaps: Gaps | None) -> Present:
    """Divide the frames of a view into those that the file has and those that it lacks."""
    planes, frames = view.planes, view.frames
    if gaps is None:
        return Present(planes, frames)
    places = gaps.present[(gaps.present >= planes.start) & (gaps.present < planes.stop)]
    places = places[(places - planes.start) % planes.step == 0]
    places = (places - planes.start) // planes.step
    if len(places) == len(planes):
        return Present(planes, frames)
    ends = np.concatenate([[-1], places, [len(planes)]])
    before = np.flatnonzero(np.diff(ends) > 1)
    missing = tuple(frames[int(ends[i]) + 1 : int(ends[i + 1])] for i in before)
    return Present(
        planes.start + planes.step * places, frames.start + frames.step * places, missing
    )


def check_complete(
    path: Path,
    found: Present,
    whole: Present,
    gaps: Gaps | None,
    selection: Selection,
    *,
    allow_partial: bool,
) -> str | None:
    """Refuse a film that lacks frames, unless that is allowed.

    Parameters
    ----------
    path : Path
        The film.
    found, whole : Present
        The frames of the selection, and those of the film without ``--frames``.
    gaps : Gaps or None
        What the file lacks.
    selection : Selection
        The user's choice.
    allow_partial : bool
        Whether frames may be missing.

    Returns
    -------
    str or None
        A remark for the user that names the missing frames; None if the file is complete.

    Raises
    ------
    FilmError
        If frames of the selection are missing and that is not allowed, or all are.
    """
    if gaps is None:
        return None
    if not whole.missing_count:
        if gaps.state == "lacking":  # another position or channel lacks frames
            return None
        if gaps.state == "cut":
            return f"{path.name} has all frames, but {gaps.reason}"
        if gaps.state == "more":
            if not allow_partial and selection.frames == (0, None):
                raise _more(path, whole, gaps)
            return f"{path.name} {gaps.reason}; frames are numbered as the file holds them"
    endless = gaps.state == "open end"
    open_end = endless and selection.frames[1] is None
    incomplete = bool(found.missing_count or open_end)
    if incomplete and not (allow_partial and len(found.planes)):
        raise _incomplete(path, found, gaps, open_end=open_end)
    lacking = f"lacks {_lacking(whole, open_end=endless)} ({gaps.reason})"
    if incomplete:
        return f"{path.name} {lacking}; missing frames are not part of the image"
    return f"{path.name} {lacking}; the chosen frames are complete"


def _lacking(found: Present, *, open_end: bool) -> str:
    """The missing frames in words."""
    if not open_end:
        return f"{in_words(found.missing)} of {_count(found):,}"
    missing, end = list(found.missing), _end(found)
    if missing and missing[-1][-1] == end - 1:
        end = missing.pop()[0]
    before = f"{in_words(missing)}, and " if missing else ""
    return f"{before}all frames from {end} on"


def _count(found: Present) -> int:
    return len(found.planes) + found.missing_count


def _end(found: Present) -> int:
    """The number after the last frame, present or missing, that has one."""
    ends = [part[-1] + 1 for part in found.missing]
    return max([int(found.frames[-1]) + 1, *ends] if len(found.frames) else ends)


def _incomplete(path: Path, found: Present, gaps: Gaps, *, open_end: bool) -> FilmError:
    """The refusal, with a way to use the frames that are there."""
    there = len(found.planes)
    problem = f"lacks {_lacking(found, open_end=open_end and there > 0)} ({gaps.reason})"
    if there < 2:
        return refusal(path, problem, gaps.remedy)
    remedy = f"{gaps.remedy}, or take the {there:,} frames that are there with --allow-partial"
    first = found.missing[0][0] if found.missing else _end(found)
    if first - int(found.frames[0]) >= 2:
        remedy += f" or the first ones with --frames :{first}"
    return refusal(path, problem, remedy)


def _more(path: Path, whole: Present, gaps: Gaps) -> FilmError:
    remedy = f"{gaps.remedy}, or take all of them with --allow-partial or some with --frames"
    return refusal(path, gaps.reason, f"{remedy}, as :{len(whole.planes)}")
