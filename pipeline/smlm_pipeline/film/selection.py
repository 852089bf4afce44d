"""Select the part of a file that is the film: frames, region, channel, depth. Pure."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.frame_numbers import Numbers, as_ranges

_OPTIONS = {"C": "channel", "Z": "z", "P": "position"}
_PLURALS = {"C": "channels", "Z": "planes in z", "P": "positions"}

Labels: TypeAlias = "Mapping[str, tuple[str, ...]]"
"""Names of the places on an axis, by its letter."""

_NO_LABELS: Labels = MappingProxyType({})


FrameRange: TypeAlias = "tuple[int, int | None] | tuple[int, int | None, int]"
"""First frame, last one (excluded; None is the end) and, if it is not one, a step."""


Half: TypeAlias = Literal["left", "right", "top", "bottom", "first", "second"]
"""One of two channels: half of the region, or every second frame from the first or the second of
the range on."""

ALTERNATING = "alternating"
"""The split whose channels are frames of their own."""

SPLITS: Mapping[str, tuple[Half, Half]] = MappingProxyType(
    {
        "left,right": ("left", "right"),
        "top,bottom": ("top", "bottom"),
        ALTERNATING: ("first", "second"),
    }
)
"""Ways in which a film holds two channels, and the halves that are these."""


@dataclass(frozen=True)
class Selection:
    """The user's choice; the whole film by default.

    ``frames`` is first and last (excluded; None is the end), and optionally a step: ``(1, None,
    2)`` is every second frame from frame 1 on. ``roi_px`` is x, y, width and height, ``channel``,
    ``z`` and ``position`` count from zero, ``time_axis`` is the letter of the axis of the frames,
    and ``pattern`` a glob of the names of the film's files in a folder. ``half`` takes one of two
    channels out of all that: half of the region, or every second of the frames.
    """

    frames: FrameRange = (0, None)
    roi_px: tuple[int, int, int, int] | None = None
    channel: int | None = None
    z: int | None = None
    position: int | None = None
    time_axis: str | None = None
    pattern: str | None = None
    half: Half | None = None

    def completed(self, named: Mapping[str, int]) -> Selection:
        """The selection with the places that the film's path names, where the user names none."""
        fixed = self.fixed()
        places = {_OPTIONS[axis]: place for axis, place in named.items() if axis not in fixed}
        return replace(self, **places) if places else self  # type: ignore[arg-type]

    def fixed(self) -> dict[str, int]:
        """The chosen place on each axis that has one."""
        chosen = {axis: getattr(self, option) for axis, option in _OPTIONS.items()}
        return {axis: place for axis, place in chosen.items() if place is not None}


@dataclass(frozen=True)
class Corner:
    """First row and column of a part of a film, and its frames, as the file counts them.

    ``frames`` has the number in the file of each frame of the part, ascending, and ``step`` is
    the distance of frames that follow one another.
    """

    y_px: int = 0
    x_px: int = 0
    frames: Numbers = field(default=range(sys.maxsize), compare=False)
    step: int = 1

    def numbers(self, first: int, last: int) -> list[range]:
        """Numbers in the file of the part's frames ``first`` to ``last - 1``, as ranges."""
        return as_ranges(self.frames[first:last], self.step)


@dataclass(frozen=True)
class View:
    """The planes of a source that are the film's frames, and the region of each plane.

    ``frames`` are the numbers of these planes along the axis of the frames.
    """

    planes: range
    y: slice
    x: slice
    frames: range


def frames_range(text: str) -> FrameRange:
    """``A:B``, ``A:``, ``:B`` or any of them with ``:STEP`` as numbers.

    Raises
    ------
    SettingError
        If it is none of them, or empty.
    """
    ends = re.fullmatch(r"(\d*):(\d*)(?::(\d*))?", text.strip())
    if not ends:
        raise SettingError(
            f"frames is {text!r}; expected A:B, from frame A up to B (excluded), or A:B:STEP, "
            "as 0::2 for every second frame"
        )
    first, last = int(ends[1] or 0), int(ends[2]) if ends[2] else None
    step = int(ends[3] or 1)
    if step < 1:
        raise SettingError(f"frames is {text!r}; expected A:B:STEP with a STEP of at least 1")
    if last is not None and last <= first:
        raise SettingError(f"frames is {text!r}, which holds none; expected A:B with A below B")
    return (first, last) if step == 1 else (first, last, step)


def region(text: str) -> tuple[int, int, int, int]:
    """``x,y,w,h`` as numbers.

    Raises
    ------
    SettingError
        If it is not four whole numbers.
    """
    numbers = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text.replace(" ", ""))
    if not numbers:
        raise SettingError(f"roi is {text!r}; expected x,y,w,h in camera pixels, as 0,0,256,256")
    x, y, width, height = (int(number) for number in numbers.groups())
    return x, y, width, height


def choose(
    path: Path,
    axes: str,
    shape: tuple[int, ...],
    selection: Selection,
    labels: Labels = _NO_LABELS,
) -> View:
    """The planes and the region of a selection; ``labels`` are names of places on an axis.

    Raises
    ------
    FilmError
        If the file needs a choice that the selection does not make.
    SettingError
        If the selection is not in the file.
    """
    if len(set(axes)) < len(axes):  # two axes that the file names alike, as tifffile's QQ
        raise refusal(path, f"has axes {axes} of {shape}, not T,Y,X", "save one film alone")
    leading = dict(zip(axes[:-2], shape[:-2], strict=True))
    fixed = selection.fixed()
    for axis, place in fixed.items():
        if place >= leading.get(axis, 1):
            last = leading.get(axis, 1) - 1
            raise SettingError(
                f"{_OPTIONS[axis]} is {place}; expected 0 to {last}{_listed(labels, axis)}, as "
                f"{path.name} has axes {axes} of {shape}"
            )
    time = _time_axis(path, axes, shape, selection, labels)
    steps = {axis: math.prod(shape[i + 1 : -2]) for i, axis in enumerate(axes[:-2])}
    start = sum(place * steps.get(axis, 0) for axis, place in fixed.items() if axis != time)
    frames = _half_of_frames(path, _frames(path, leading.get(time, 1), selection.frames), selection)
    step = steps.get(time, 1)
    planes = range(start + frames.start * step, start + frames.stop * step, frames.step * step)
    y, x = _half_of_region(path, *_region(path, shape, selection.roi_px), selection.half)
    return View(planes, y, x, frames)


def names_of_chosen(path: Path, selection: Selection, labels: Labels) -> tuple[str, ...]:
    """Notes that name the places that a selection takes, where the file names them."""
    return tuple(
        f"{_OPTIONS[axis]} {place} of {path.name} is {labels[axis][place]}"
        for axis, place in selection.fixed().items()
        if place < len(labels.get(axis, ())) and labels[axis][place]
    )


def _listed(labels: Labels, axis: str) -> str:
    """The places of an axis by their names, for a message; empty if they have none."""
    names = labels.get(axis, ())
    listed = ", ".join(f"{place} is {name}" for place, name in enumerate(names[:8]))
    return f" ({listed}{', ...' if len(names) > 8 else ''})" if names else ""


def _time_axis(
    path: Path, axes: str, shape: tuple[int, ...], selection: Selection, labels: Labels
) -> str:
    """The axis of the frames; an empty string for a single frame."""
    open_axes = [axis for axis in axes[:-2] if axis not in selection.fixed()]
    if selection.time_axis is not None:
        if selection.time_axis not in axes[:-2]:
            raise SettingError(
                f"time-axis is {selection.time_axis!r}; expected one of "
                f"{', '.join(axes[:-2]) or 'no axes'}, as {path.name} has axes {axes} of {shape}"
            )
        time = selection.time_axis
    elif "T" in open_axes:
        time = "T"
    else:
        time = next((axis for axis in open_axes if axis not in "CP"), "")
    others = [axis for axis in open_axes if axis != time]
    if others:
        listed = _listed(labels, others[0])
        raise _choice_needed(path, axes, shape, others[0], listed, alone=len(open_axes) == 1)
    return time


def _choice_needed(
    path: Path, axes: str, shape: tuple[int, ...], axis: str, listed: str, *, alone: bool
) -> Exception:
    """The refusal that names the option for this axis."""
    layout = f"(axes {axes}, {shape})"
    if axis not in _OPTIONS:
        return refusal(path, f"has axes {axes} of {shape}, not T,Y,X", "save one film alone")
    remedy = f"choose one with --{_OPTIONS[axis]} 0 to {shape[axes.index(axis)] - 1}{listed}"
    if alone:
        remedy = f"if they are frames, --time-axis {axis} takes them so; else export all frames"
    return refusal(path, f"has several {_PLURALS[axis]} {layout}", remedy)


def _frames(path: Path, count: int, chosen: FrameRange) -> range:
    first, last, step = (*chosen, 1)[:3]
    if first < 0 or step < 1:
        raise SettingError(f"frames is {chosen}; expected first, last and step, none negative")
    if first >= count or (last or 0) > count:
        raise SettingError(
            f"frames is {frames_text(chosen)}; expected numbers up to {count}, as {path.name} has "
            f"{count} frames"
        )
    return range(first, count if last is None else last, step)


def frames_text(chosen: FrameRange) -> str:
    """The range as ``--frames`` takes it."""
    first, last, step = (*chosen, 1)[:3]
    return f"{first}:{'' if last is None else last}{f':{step}' if step > 1 else ''}"


def _half_of_frames(path: Path, frames: range, selection: Selection) -> range:
    """Every second of the frames, for channels that alternate."""
    if selection.half not in ("first", "second"):
        return frames
    if frames.step > 1:
        raise SettingError(
            f"frames is {frames_text(selection.frames)} and channels alternate; expected frames "
            "without a step: each channel takes every second one"
        )
    if len(frames) < 2:
        raise refusal(path, "holds one frame, which is not two channels", "choose more frames")
    return frames[0 if selection.half == "first" else 1 :: 2]


def _half_of_region(path: Path, y: slice, x: slice, half: Half | None) -> tuple[slice, slice]:
    """One of two halves of a region, which have the same size.

    Raises
    ------
    SettingError
        If the region cannot be cut into two equal halves.
    """
    if half not in ("left", "right", "top", "bottom"):
        return y, x
    side, edge = (x, "wide") if half in ("left", "right") else (y, "high")
    size_px = side.stop - side.start
    if size_px % 2:
        raise SettingError(
            f"the region of {path.name} is {size_px} pixels {edge}, which is odd, and is to be cut "
            f"into two channels; expected an even number: leave a row or column out with --roi "
            "X,Y,W,H, such that both channels show the same part of the sample"
        )
    middle = side.start + size_px // 2
    first = half in ("left", "top")
    cut = slice(side.start, middle) if first else slice(middle, side.stop)
    return (y, cut) if edge == "wide" else (cut, x)


def _region(
    path: Path, shape: tuple[int, ...], roi_px: tuple[int, int, int, int] | None
) -> tuple[slice, slice]:
    height_px, width_px = shape[-2:]
    if roi_px is None:
        return slice(0, height_px), slice(0, width_px)
    x, y, width, height = roi_px
    if x + width > width_px or y + height > height_px:
        raise SettingError(
            f"roi is {x},{y},{width},{height} (x, y, width, height); expected a region inside the "
            f"{width_px} x {height_px} pixels (width x height) of {path.name}"
        )
    return slice(y, y + height), slice(x, x + width)
