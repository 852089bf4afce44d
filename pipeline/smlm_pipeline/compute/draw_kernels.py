"""Compiled loops that draw: from detections to the sums of SR pixels, and from these to entries.

A row is one of the image's, counted on through its precision classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.compiled import compiled, whatever_is_kept

_MARGIN_PX, _REACH_PX = contract.MARGIN_PX, np.float32(contract.MAX_OFFSET_PX)

_ONE, _HALF = np.float32(contract.WEIGHT_ONE), np.float32(0.5)

_TO_WHOLE = np.float32(3 << 22)
"""Added to a number below 2^22 and taken off again, it rounds that to the nearest even number."""

_BIT, _LAST_BITS = np.uint64(1), np.uint64(58)

_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
"""Times a power of two, its first six bits are another number for each (Leiserson, Prokop and
Randall, "Using de Bruijn sequences to index a 1 in a computer word", 1998)."""


def _places_of_bits() -> NDArray[np.int64]:
    """The power of two that each of these six-bit numbers belongs to."""
    places = np.empty(64, np.int64)
    for power in range(64):
        places[(int(_DE_BRUIJN) << power) % 2**64 >> int(_LAST_BITS)] = power
    return places


_PLACE_OF_BITS = _places_of_bits()


@whatever_is_kept
@compiled
def find(
    detections: NDArray[np.float32],
    core_px: tuple[int, int, int, int],
    zoom: int,
    drawn_from: np.float32,
    limits_px2: NDArray[np.float32],
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    weight: NDArray[np.int32],
    count: NDArray[np.int64],
) -> int:
    """Find the SR pixel and the weight of each detection that is drawn, and return their number.

    It is -1 if a detection makes no sense, or if they are more than there is room for: the
    detections may be in memory that another process writes to, if it takes them for its own.

    Parameters
    ----------
    detections : ndarray, shape (N, 7, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    core_px : tuple of int
        Top, left, height and width of the core.
    zoom : int
        SR pixels along the edge of a camera pixel.
    drawn_from : float32
        Probabilities up to this one are not drawn.
    limits_px2 : ndarray, shape (S - 1,), float32
        Borders of the classes, as sigma y ** 2 + sigma x ** 2.
    row, column, weight : ndarray, shape (K,), int32
        Receive the row, the column and the weight of each detection that is drawn.
    count : ndarray, shape (R,), int64
        Receives the number of detections of each row; 0 before.
    """
    top, left, height, width = core_px
    fine, class_rows = np.float32(zoom), (height + 2 * _MARGIN_PX) * zoom
    chosen = np.empty(width, np.int64)
    found, sound = 0, True
    for frame in range(len(detections)):
        for y in range(height):
            probability = detections[frame, 0, top + y]
            some = 0
            for x in range(left, left + width):  # without a branch, which would be mispredicted
                sound &= (probability[x] >= 0) & (probability[x] <= 1)
                chosen[some] = x
                some += probability[x] > drawn_from
            offset_y, offset_x = detections[frame, 1, top + y], detections[frame, 2, top + y]
            sigma_y, sigma_x = detections[frame, 3, top + y], detections[frame, 4, top + y]
            for x in chosen[:some]:
                likely, down, right = probability[x], offset_y[x], offset_x[x]
                sound &= (abs(down) <= _REACH_PX) & (abs(right) <= _REACH_PX)
                number = 0
                if len(limits_px2):
                    spread = sigma_y[x] * sigma_y[x] + sigma_x[x] * sigma_x[x]
                    sound &= (sigma_y[x] > 0) & (sigma_x[x] > 0) & (spread < np.inf)
                    for limit in limits_px2:
                        number += spread > limit
                if not sound or found == len(row):
                    return -1
                here = number * class_rows + (y + _MARGIN_PX) * zoom
                here += _whole((down + _HALF) * fine)
                row[found] = here
                column[found] = (x - left + _MARGIN_PX) * zoom + _whole((right + _HALF) * fine)
                weight[found] = np.int32((likely * _ONE + _TO_WHOLE) - _TO_WHOLE)
                count[here] += 1
                found += 1
    return found if sound else -1


@compiled
def _whole(number: np.float32) -> int:
    """The largest whole number that is not above, without a call of the C library."""
    towards_zero = int(number)
    return towards_zero - int(np.float32(towards_zero) > number)


@whatever_is_kept
@compiled
def by_row(
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    weight: NDArray[np.int32],
    place: NDArray[np.int64],
    ordered_column: NDArray[np.int32],
    ordered_weight: NDArray[np.int32],
) -> None:
    """Order detections (K,) by row.

    ``place`` (R,) is where the detections of each row begin, and afterwards where they end.
    """
    for each in range(len(row)):
        here = place[row[each]]
        place[row[each]] = here + 1
        ordered_column[here] = column[each]
        ordered_weight[here] = weight[each]


@whatever_is_kept
@compiled
def sum_rows(
    column: NDArray[np.int32],
    weight: NDArray[np.int32],
    ends: NDArray[np.int64],
    width: int,
    index: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> int:
    """Sum the detections of each SR pixel, and return the number of pixels that have any.

    Parameters
    ----------
    column, weight : ndarray, shape (K,), int32
        Detections, row by row.
    ends : ndarray, shape (R,), int64
        Where those of each row end.
    width : int
        SR pixels of a row.
    index, sums : ndarray, shape (K,), int64
        Receive the place of each pixel, ascending, and its sum.
    """
    line = np.zeros(width, np.int64)
    hit = np.zeros(width // 64 + 1, np.uint64)  # a bit for each pixel of the line
    start = found = 0
    for row in range(len(ends)):
        for each in range(start, ends[row]):
            line[column[each]] += weight[each]
            hit[column[each] >> 6] |= _BIT << np.uint64(column[each] & 63)
        if ends[row] > start:
            for word in range(len(hit)):
                bits = hit[word]
                while bits:
                    lowest = bits & (~bits + _BIT)
                    bits ^= lowest
                    here = 64 * word + _PLACE_OF_BITS[(lowest * _DE_BRUIJN) >> _LAST_BITS]
                    index[found], sums[found] = row * width + here, line[here]
                    found += 1
                    line[here] = 0
                hit[word] = bits
        start = ends[row]
    return found


@whatever_is_kept
@compiled
def count_entries(index: NDArray[np.int64], sums: NDArray[np.int64], most: int) -> int:
    """The number of entries that `write_entries` writes."""
    count, before = len(index), 0
    for each in range(len(index)):
        gap = index[each] - before
        if gap > most:
            count += (gap - 1) // most
        if sums[each] > most:
            count += (sums[each] - 1) // most
        before = index[each]
    return count


@whatever_is_kept
@compiled
def write_entries(
    index: NDArray[np.int64],
    sums: NDArray[np.int64],
    most: int,
    step: NDArray[np.uint16],
    weight: NDArray[np.uint16],
) -> None:
    """Write places (K,), ascending, and their sums as steps and weights of at most ``most``.

    Entries of weight 0 share a larger step, and those of step 0 a larger sum.
    """
    entry, before = 0, 0
    for each in range(len(index)):
        gap, rest = index[each] - before, sums[each]
        before = index[each]
        while gap > most:
            step[entry], weight[entry] = most, 0
            gap -= most
            entry += 1
        while rest > most:
            step[entry], weight[entry] = gap, most
            gap = 0
            rest -= most
            entry += 1
        step[entry], weight[entry] = gap, rest
        entry += 1
