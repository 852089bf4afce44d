"""Numbers with a fixed number of decimals as lines of text, all rows at once.

Python's own formatting takes 3 us a row of ten numbers, most of what a table costs a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROUP = 10_000
_DIGITS = np.array([b"%04d" % number for number in range(_GROUP)]).view(np.uint32)
"""The four digits of a number below `_GROUP`, as four bytes."""

_SCALED_MOST = 1e15
"""Values with more digits, decimals included, are not exact in float64."""

_ROWS = 1 << 12
"""Rows whose text is written at once: the processor's cache holds it."""


def decimal_lines(columns: Sequence[tuple[NDArray[Any], int]]) -> bytes:
    """Write a line for each row, with commas between the numbers.

    Parameters
    ----------
    columns : sequence of tuple
        Values (M,), whole or float64, and their number of decimals.

    Returns
    -------
    bytes
        What ``%d`` and ``%.3f`` give, but that a value half way between two decimals may be rounded
        to the other one.
    """
    row_count = len(columns[0][0])
    written = list[bytes]()
    for first in range(0, row_count, _ROWS):
        last = min(first + _ROWS, row_count)
        parts = [_prepared(values[first:last], decimals) for values, decimals in columns]
        written.append(_lines(parts, last - first))
    return b"".join(written)


@dataclass(frozen=True)
class _Column:
    """Numbers (M,) without sign and point, and where there is a minus; or their text, (M, W)."""

    width: int
    decimals: int = 0
    number: NDArray[Any] | None = None
    negative: NDArray[np.bool_] | None = None
    text: NDArray[np.uint8] | None = None

    def write(self, text: NDArray[np.uint8]) -> None:
        """Write the text of each value to (M, `width`); what a value does not need is 0."""
        if self.number is None:
            text[:] = self.text
            return
        if self.negative is not None:
            np.multiply(self.negative, np.uint8(ord("-")), out=text[:, 0])
            text = text[:, 1:]
        point = self.decimals > 0
        whole = text.shape[1] - self.decimals - point
        digits = _digits(self.number, whole + self.decimals)
        # Place by place: NumPy would copy the few places of each row by a loop of their own.
        for place in range(whole - 1):
            least = 10 ** (whole + self.decimals - 1 - place)
            np.multiply(digits[:, place], self.number >= least, out=text[:, place])
        for place in range(whole - 1, digits.shape[1]):
            text[:, place + (place >= whole)] = digits[:, place]
        if point:
            text[:, whole] = ord(".")


def _prepared(values: NDArray[Any], decimals: int) -> _Column:
    scaled = np.rint(np.abs(values) * 10.0**decimals) if decimals else np.abs(values)
    if not (scaled < _SCALED_MOST).all():  # or no number
        told = np.array([b"%.*f" % (decimals, value) for value in values.tolist()])
        return _Column(told.itemsize, text=told.view(np.uint8).reshape(len(values), told.itemsize))
    most = int(scaled.max(initial=0))
    number = scaled.astype(np.uint32 if most < 1 << 32 else np.uint64)
    negative = np.signbit(values) if values.dtype.kind == "f" else values < 0
    any_negative = bool(negative.any())
    width = max(len(str(most)), decimals + 1) + (decimals > 0) + any_negative
    return _Column(width, decimals, number, negative if any_negative else None)


def _lines(columns: list[_Column], row_count: int) -> bytes:
    lines = np.empty((row_count, sum(column.width + 1 for column in columns)), np.uint8)
    end = 0
    for column in columns:
        start, end = end, end + column.width + 1
        column.write(lines[:, start : end - 1])
        lines[:, end - 1] = ord(",")
    lines[:, -1] = ord("\n")
    return lines.tobytes().translate(None, b"\0")


def _digits(number: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """The last digits of each number, (M, W), leading zeros included."""
    groups = -(-width // 4)
    text = np.empty((len(number), groups), np.uint32)
    for group in reversed(range(groups)):
        rest = number // _GROUP
        text[:, group] = _DIGITS[number - rest * _GROUP]
        number = rest
    return text.view(np.uint8)[:, 4 * groups - width :]
