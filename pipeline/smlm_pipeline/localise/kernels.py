"""Compiled loops over places: which belong together, and which have room for a surplus.

They compute in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.compiled import compiled, whatever_is_kept


@whatever_is_kept
@compiled
def merge_frames(
    places: NDArray[np.float64],
    frame: NDArray[np.int64],
    cell: NDArray[np.int64],
    order: NDArray[np.int64],
    width: int,
    reach_px: float,
    most: float,
) -> None:
    """Merge places, in rounds, those that are each other's nearest; in place, frame by frame.

    Pairs are found once, before the first round: the number of places in reach of one another has
    to be small.

    Parameters
    ----------
    places : ndarray, shape (M, 7), float64
        Probability; y, x and intensity; and the variances of these three. A place that was merged
        into an earlier one has the probability 0 afterwards.
    frame : ndarray, shape (M,), int64
        Their frames.
    cell : ndarray, shape (M,), int64
        Numbers of the squares of edge ``reach_px`` that places are in, ascending, one frame after
        the other.
    order : ndarray, shape (M,), int64
        The place that each of ``cell`` is of.
    width : int
        Squares of a row, one at each end empty.
    reach_px, most : float
        Largest distance, and largest summed probability, of two places of one molecule.
    """
    pairs, distance2 = np.empty((1024, 2), np.int64), np.empty(1024)
    start = 0
    while start < len(cell):
        end = start
        while end < len(cell) and frame[order[end]] == frame[order[start]]:
            end += 1
        count = end - start
        here = np.empty((count, 7))  # the places of a frame, which the processor's cache holds
        for one in range(count):
            here[one] = places[order[start + one]]
        pairs, distance2, left = _pairs(
            here, cell[start:end], order[start:end], width, reach_px, most, pairs, distance2
        )
        _merge_pairs(here, order[start:end], pairs, distance2, left, reach_px, most)
        for one in range(count):
            places[order[start + one]] = here[one]
        start = end


@compiled
def _pairs(
    here: NDArray[np.float64],
    cell: NDArray[np.int64],
    order: NDArray[np.int64],
    width: int,
    reach_px: float,
    most: float,
    pairs: NDArray[np.int64],
    distance2: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Find the pairs of a frame that may be merged, the place with the lower number first."""
    count, found = len(cell), 0
    # A pair is in one square or in two that touch, and of those the later one follows at once or
    # is one of three in the next row.
    for below in range(2):
        start = end = 0
        for one in range(count):
            if below:
                while start < count and cell[start] < cell[one] + width - 1:
                    start += 1
                last = cell[one] + width + 1
            else:
                start, last = one + 1, cell[one] + 1
            end = max(start, end)
            while end < count and cell[end] <= last:
                end += 1
            if found + end - start > len(pairs):
                more = len(pairs) + end - start
                pairs = np.concatenate((pairs, np.empty((more, 2), np.int64)))
                distance2 = np.concatenate((distance2, np.empty(more)))
            for other in range(start, end):
                y, x = here[one, 1] - here[other, 1], here[one, 2] - here[other, 2]
                apart2 = y * y + x * x
                in_order = order[one] < order[other]
                # Written in any case, and kept by counting it: a branch would be mispredicted.
                pairs[found, 0] = one if in_order else other
                pairs[found, 1] = other if in_order else one
                distance2[found] = apart2
                one_molecule = here[one, 0] + here[other, 0] <= most
                found += one_molecule & (apart2 <= reach_px * reach_px)
    return pairs, distance2, found


@compiled
def _merge_pairs(
    here: NDArray[np.float64],
    order: NDArray[np.int64],
    pairs: NDArray[np.int64],
    distance2: NDArray[np.float64],
    left: int,
    reach_px: float,
    most: float,
) -> None:
    """Merge the pairs of a frame, of which there are ``left``; all arrays are overwritten."""
    count = len(order)
    nearest = np.full(count, np.inf)
    merged_into, foremost = np.arange(count), np.empty(count, np.int64)
    mutual = np.empty(count, np.int64)
    for pair in range(left):
        for place in pairs[pair]:
            nearest[place] = min(nearest[place], distance2[pair])
    while left:
        foremost[:] = -1
        found = _mutually_nearest(pairs[:left], distance2, nearest, foremost, mutual)
        for pair in mutual[:found]:
            kept, gone = pairs[pair]
            _merge(here, kept, gone)
            merged_into[gone] = kept
        nearest[:] = np.inf
        former, left = left, 0
        for pair in range(former):
            one, other = merged_into[pairs[pair, 0]], merged_into[pairs[pair, 1]]
            in_order = order[one] <= order[other]
            a, b = (one, other) if in_order else (other, one)
            y, x = here[a, 1] - here[b, 1], here[a, 2] - here[b, 2]
            apart2 = y * y + x * x
            near = (apart2 <= reach_px * reach_px) & (a != b)
            one_molecule = near & (here[a, 0] + here[b, 0] <= most)
            pairs[left, 0], pairs[left, 1], distance2[left] = a, b, apart2
            left += one_molecule
            nearest[a] = min(nearest[a], apart2 if one_molecule else np.inf)
            nearest[b] = min(nearest[b], apart2 if one_molecule else np.inf)


@compiled
def _mutually_nearest(
    pairs: NDArray[np.int64],
    distance2: NDArray[np.float64],
    nearest: NDArray[np.float64],
    foremost: NDArray[np.int64],
    mutual: NDArray[np.int64],
) -> int:
    """List the pairs whose places have no nearer partner, each place once; return their number.

    The first pair decides between equal distances. ``foremost`` is -1 everywhere before.
    """
    found = 0
    for pair in range(len(pairs)):
        a, b = pairs[pair]
        if distance2[pair] > nearest[a] or distance2[pair] > nearest[b]:
            continue
        if foremost[a] < 0 and foremost[b] < 0:
            mutual[found] = pair
            found += 1
        if foremost[a] < 0:
            foremost[a] = pair
        if foremost[b] < 0:
            foremost[b] = pair
    return found


@compiled
def _merge(here: NDArray[np.float64], kept: int, gone: int) -> None:
    """Make one place the mixture of two, and take the other's probability."""
    share = here[gone, 0] / (here[kept, 0] + here[gone, 0])
    for mean in range(1, 4):
        variance, apart = mean + 3, here[gone, mean] - here[kept, mean]
        here[kept, variance] += share * (here[gone, variance] - here[kept, variance])
        here[kept, variance] += share * (1 - share) * (apart * apart)
        here[kept, mean] += share * apart
    here[kept, 0] += here[gone, 0]
    here[gone, 0] = 0.0


@whatever_is_kept
@compiled
def give_surplus(
    probability: NDArray[np.float64],
    y_px: NDArray[np.float64],
    x_px: NDArray[np.float64],
    cell: NDArray[np.int64],
    order: NDArray[np.int64],
    width: int,
    reach_px: float,
    neighbours: int,
) -> None:
    """Move what places have above 1 to their nearest neighbours with room for it; in place.

    Parameters
    ----------
    probability : ndarray, shape (M,), float64
        Of the places.
    y_px, x_px : ndarray, shape (M,), float64
        The places.
    cell, order, width, reach_px
        As for `merge_frames`.
    neighbours : int
        How many of the nearest are asked.
    """
    rank = np.empty(len(cell), np.int64)
    for one in range(len(cell)):
        rank[order[one]] = one
    near, distance2 = np.empty(neighbours, np.int64), np.empty(neighbours)
    for place in range(len(cell)):
        if probability[place] <= 1:
            continue
        known = 0
        for row in range(-1, 2):
            middle = cell[rank[place]] + row * width
            other = np.searchsorted(cell, middle - 1)
            while other < len(cell) and cell[other] <= middle + 1:
                candidate = order[other]
                y, x = y_px[candidate] - y_px[place], x_px[candidate] - x_px[place]
                apart2 = y * y + x * x
                if candidate != place and apart2 < reach_px * reach_px:
                    known = _noted(near, distance2, known, candidate, apart2)
                other += 1
        for neighbour in near[:known]:
            given = min(probability[place] - 1, max(1 - probability[neighbour], 0.0))
            probability[place] -= given
            probability[neighbour] += given


@compiled
def _noted(
    near: NDArray[np.int64],
    distance2: NDArray[np.float64],
    known: int,
    candidate: int,
    apart2: float,
) -> int:
    """Put a place among the nearest, if it is one of them; return how many are known then."""
    if known < len(near):
        known += 1
    elif distance2[known - 1] <= apart2:
        return known
    slot = known - 1
    while slot > 0 and distance2[slot - 1] > apart2:
        near[slot], distance2[slot] = near[slot - 1], distance2[slot - 1]
        slot -= 1
    near[slot], distance2[slot] = candidate, apart2
    return known
