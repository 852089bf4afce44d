"""Numbers with a fixed number of decimals as lines of text, all rows at once.

Python's own formatting takes 3 us a row of ten numbers, most of what a table costs a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROUP = 10_000
_DIGITS = np.array([b"%04d" % number for number in range(_GROUP)]).view(np.uint32)
"""The four digits of a number below `_GROUP`, as four bytes."""

_SCALED_MOST = 1e15
"""Values with more digits, decimals included, are not exact in float64."""


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
    parts = [_text(values, decimals) for values, decimals in columns]
    lines = np.empty((len(parts[0]), sum(part.shape[1] + 1 for part in parts)), np.uint8)
    place = 0
    for part in parts:
        lines[:, place : place + part.shape[1]] = part
        place += part.shape[1] + 1
        lines[:, place - 1] = ord(",")
    lines[:, -1] = ord("\n")
    return lines.tobytes().translate(None, b"\0")


def _text(values: NDArray[Any], decimals: int) -> NDArray[np.uint8]:
    """Text of each value, (M, W); what a value does not need is 0."""
    scaled = np.rint(np.abs(values) * 10.0**decimals) if decimals else np.abs(values)
    if not (scaled < _SCALED_MOST).all():  # or no number
        told = np.array([b"%.*f" % (decimals, value) for value in values.tolist()])
        return told.view(np.uint8).reshape(len(values), told.itemsize)
    most = int(scaled.max(initial=0))
    number = scaled.astype(np.uint32 if most < 1 << 32 else np.uint64)
    width = max(len(str(most)), decimals + 1)
    digits = _digits(number, width)
    whole = width - decimals
    for place in range(whole - 1):
        digits[number < 10 ** (width - 1 - place), place] = 0
    parts = [digits[:, :whole]]
    negative = np.signbit(values) if values.dtype.kind == "f" else values < 0
    if negative.any():
        parts.insert(0, np.where(negative, ord("-"), 0).astype(np.uint8)[:, None])
    if decimals:
        parts += [np.full((len(values), 1), ord("."), np.uint8), digits[:, whole:]]
    return np.concatenate(parts, axis=1)


def _digits(number: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """The last digits of each number, (M, W), leading zeros included."""
    groups = -(-width // 4)
    text = np.empty((len(number), groups), np.uint32)
    for group in reversed(range(groups)):
        rest = number // _GROUP
        text[:, group] = _DIGITS[number - rest * _GROUP]
        number = rest
    return text.view(np.uint8)[:, 4 * groups - width :]
