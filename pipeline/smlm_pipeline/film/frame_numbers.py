"""Numbers of frames, as ranges and in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = "range | NDArray[np.int64]"
"""Numbers of frames or planes, ascending."""

_NAMED_RANGES = 4
"""Ranges of frames that a message names."""


def as_ranges(numbers: Numbers, step: int) -> list[range]:
    """Ascending numbers as ranges of a step, split wherever a number is left out."""
    if isinstance(numbers, range):
        return [numbers]
    starts = np.flatnonzero(np.diff(numbers) != step) + 1
    return [
        range(int(part[0]), int(part[-1]) + 1, step)
        for part in np.split(numbers, starts)
        if len(part)
    ]


def in_words(numbers: Iterable[range]) -> str:
    """Ranges of frames for a message: ``frames 3, 5 to 9``."""
    ranges = list(numbers)
    named = [_range_in_words(part) for part in ranges[:_NAMED_RANGES]]
    rest = sum(map(len, ranges[_NAMED_RANGES:]))
    more = f" and {rest:,} more" if rest else ""
    word = "frame" if sum(map(len, ranges)) == 1 else "frames"
    return f"{word} {', '.join(named)}{more}"


def _range_in_words(numbers: range) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    step = f" in steps of {numbers.step}" if numbers.step > 1 else ""
    return f"{numbers[0]} to {numbers[-1]}{step}"
