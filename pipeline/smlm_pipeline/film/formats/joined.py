"""Read several files of one film as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.likeness import are_different
from smlm_pipeline.film.formats.refusals import AGAIN, reading, refusal
from smlm_pipeline.film.formats.source import Gaps, GapsState, Source
from smlm_pipeline.film.unwritten import without_unwritten

Opener = Callable[[Path], Source]

_PROBED_BYTES = 1 << 29
"""Frames of this size are read only after they are checked against the memory."""

_COMPARED_MAX = 8
"""Pairs of neighbours whose pictures are compared."""


@dataclass(frozen=True)
class Part:
    """One file of a film, and its number among them."""

    path: Path
    number: int


class JoinedSource(Source):
    """Films of equal frames one after the other; parts that are None are missing files."""

    def __init__(self, path: Path, parts: Sequence[Source | None], missing: str) -> None:
        self.path, self._parts = path, parts
        there = [part for part in parts if part is not None]
        first = there[0]
        self.dtype, self._closer = first.dtype, ExitStack()
        for part in there:
            self._closer.push(part)
        counts = [_frame_count(part or first) for part in parts]
        self._starts = [0, *accumulate(counts)]
        self.axes, self.shape = "TYX", (self._starts[-1], *first.shape[-2:])
        self.pixel_size_nm, self.pixel_doubt = first.pixel_size_nm, first.pixel_doubt
        self.acquired = first.acquired
        self.gaps = self._gaps(counts, missing)
        self.files = frozenset(part.path.name for part in there)

    def __exit__(self, *_: object) -> None:
        """Close all parts."""
        self._closer.close()

    @property
    def closed(self) -> bool:
        """Whether the parts are closed."""
        return any(part is not None and part.closed for part in self._parts)

    @property
    def decoded_bytes(self) -> int:
        """That of the most demanding part."""
        return max(part.decoded_bytes for part in self._parts if part is not None)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read from each part its planes; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        done = 0
        while done < len(planes):
            place = bisect_right(self._starts, planes[done]) - 1
            start, stop = self._starts[place], self._starts[place + 1]
            inside = planes[done:]
            inside = inside[: len(range(inside.start, min(inside.stop, stop), planes.step))]
            part = self._parts[place]
            if part is None:
                raise EOFError
            own = range(inside.start - start, inside[-1] - start + 1, planes.step)
            read[done : done + len(inside)] = part.read(own, y, x)
            done += len(inside)
        return read

    def _gaps(self, counts: list[int], missing: str) -> Gaps | None:
        """Those of the parts, and the files that are missing."""
        present, reasons = [], [missing] if missing else []
        state: GapsState = "lacking"
        for part, start, count in zip(self._parts, self._starts, counts, strict=False):
            gaps = part.gaps if part is not None else None
            if gaps is not None:
                state = state if reasons else gaps.state
                reasons.append(gaps.reason)
            if part is not None:
                present.append(start + (np.arange(count) if gaps is None else gaps.present))
        if not reasons:
            return None
        return Gaps(np.concatenate(present).astype(np.int64), "; ".join(reasons), AGAIN, state)


def join(
    path: Path, parts: Sequence[Part], opener: Opener, *, first: int, certain: bool
) -> JoinedSource:
    """Open parts as one film, with a warning that names them.

    ``first`` is the number of the first part, which may be missing. If it is not ``certain`` that
    they are one film, their pictures are compared.

    Raises
    ------
    FilmError or any error of a format's library
        If a part cannot be read, differs in size, type or axes from the first, or shows another
        sample.
    """
    by_number = {part.number: part.path for part in parts}
    numbers = range(first, max(by_number) + 1)
    absent = [number for number in numbers if number not in by_number]
    with ExitStack() as on_error:
        opened: list[Source | None] = []
        for number in numbers:
            file = by_number.get(number)
            with reading(file or path):
                opened.append(on_error.enter_context(opener(file)) if file else None)
        there = [source for source in opened if source is not None]
        for source in there:
            _check_alike(source, there[0])
        for source in there[:-1]:  # the end of the last one is the film's
            _leave_out_unwritten(source)
        for before, after in () if certain else list(pairwise(there))[:_COMPARED_MAX]:
            _check_sample(before, after)
        missing = "".join(f"part {number} is not there" for number in absent[:1])
        joined = JoinedSource(path, opened, missing)
        on_error.pop_all()
    names = listed([part.path for part in parts])
    joined.warnings = (f"{names} are taken as one film of {joined.shape[0]:,} frames",)
    return joined


def _leave_out_unwritten(source: Source) -> None:
    """Take frames at the end of a part that are zeros for missing ones, unless they are huge."""
    if source.decoded_bytes > _PROBED_BYTES:
        return
    planes = range(_frame_count(source)) if source.gaps is None else source.gaps.present
    y, x = (slice(0, size) for size in source.shape[-2:])
    gaps = without_unwritten(source, planes, source.gaps, y, x)
    if gaps is not source.gaps and gaps is not None:
        reason = f"{gaps.reason}, in {source.path.name}"
        source.gaps = Gaps(gaps.present, reason, gaps.remedy, gaps.state)


def listed(paths: Sequence[Path]) -> str:
    """Names of files for a message; of many, the first and the last."""
    names = [path.name for path in paths]
    if len(names) > 3:
        return f"{names[0]} to {names[-1]} ({len(names)} files)"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _check_sample(before: Source, after: Source) -> None:
    """Refuse parts whose pictures have nothing in common."""
    if are_different(before, after):
        problem = f"shows another sample than {before.path.name}, whose name it seems to continue"
        remedy = "name the file of one film, or join them with --pattern"
        raise refusal(after.path, problem, remedy)


def has_frames_alone(source: Source) -> bool:
    """Whether a source has one axis of frames before its rows and columns, or a single frame."""
    return len(source.axes) <= 3 and source.axes[:-2] not in ("C", "P")


def _frame_count(source: Source) -> int:
    return source.shape[0] if len(source.shape) > 2 else 1


def _check_alike(source: Source, first: Source) -> None:
    """Refuse a part that is no film, or differs in size or type from the first."""
    if not has_frames_alone(source):
        problem = f"has axes {source.axes}, and parts of a film have T,Y,X"
        raise refusal(source.path, problem, "name one file, and choose with --channel or --z")
    if source.shape[-2:] != first.shape[-2:] or source.dtype != first.dtype:
        problem = (
            f"is {source.shape[-2:]} {source.dtype}, and {first.path.name} is {first.shape[-2:]} "
            f"{first.dtype}"
        )
        raise refusal(source.path, problem, "choose the files of one film with --pattern")
