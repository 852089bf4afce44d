"""Join the rows of a molecule that shines in successive frames.

The rule: a row continues a molecule if it is at most ``reach_nm`` from the molecule's place and
at most ``dark_frames`` frames without it lie between. Where several rows or molecules are near,
the nearest pairs are joined first, and each row joins one molecule. A molecule's place is the
mean of its rows, weighted by their inverse variances where these are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.tables.rows import COLUMNS, Rows

_SUMS = ("photons", "intensity_adu")
_ROOT_SUMS = ("uncertainty_photons", "uncertainty_intensity_adu")
"""Columns whose squares are summed: errors of different frames are independent."""

_MEANS = ("z_nm", "background_photons", "background_adu", "spot_sigma_x_nm", "spot_sigma_y_nm")

_UNKNOWN_WEIGHT = 1e-12
"""Weight, in 1 / nm^2, of a row without an uncertainty among rows that have one."""

_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class LinkRule:
    """The longest distance and the longest pause of one molecule."""

    reach_nm: float
    dark_frames: int = 0


def linked(blocks: Iterable[Rows], rule: LinkRule) -> Iterator[Rows]:
    """Join rows; yields molecules once they are complete, so not in the order of frames.

    Memory holds the molecules that may continue, and a block.

    Parameters
    ----------
    blocks : iterable of Rows
        In ascending order of frames.
    rule : LinkRule
        Which rows are one molecule.

    Yields
    ------
    Rows
        A molecule has the first frame of its rows. Its light is summed, and so are the squares of
        the light's uncertainties; the background, the width of the spot and z are means; the
        uncertainties of its place are those of the weighted mean; the probability is the largest
        one, and ``detections`` the number of rows, or the sum of theirs.
    """
    complete: list[Rows] = []
    for molecules in _complete(blocks, rule):
        complete.append(molecules)
        if sum(map(len, complete)) >= _BLOCK_ROWS:
            yield _in_one(complete)
            complete = []
    if complete:
        yield _in_one(complete)


def _complete(blocks: Iterable[Rows], rule: LinkRule) -> Iterator[Rows]:
    """Molecules as soon as they can no longer continue; see `linked`."""
    open_ones: Rows | None = None
    known = False
    last_seen = np.empty(0, np.int64)
    for rows in _by_frame(blocks):
        frame = int(rows["frame"][0])
        started = _started(rows)
        if open_ones is None:
            open_ones, last_seen, known = started, rows["frame"], "uncertainty_x_nm" in rows
            continue
        gone = frame - last_seen > rule.dark_frames + 1
        if gone.any():
            yield _finished(open_ones.take(gone), known=known)
            open_ones, last_seen = open_ones.take(~gone), last_seen[~gone]
        first, second = _pairs(open_ones, started, rule.reach_nm)
        open_ones = _joined(open_ones, started, first, second)
        last_seen = last_seen.copy()
        last_seen[first] = frame
        new = np.ones(len(started), bool)
        new[second] = False
        open_ones = _stacked(open_ones, started.take(new))
        last_seen = np.concatenate([last_seen, rows["frame"][new]])
    if open_ones is not None:
        yield _finished(open_ones, known=known)


def linked_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the joined rows."""
    return tuple(name for name in COLUMNS if name in columns or name == "detections")


def _by_frame(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """The rows of each frame."""
    kept: Rows | None = None
    for block in blocks:
        rows = block if kept is None else _stacked(kept, block)
        starts = np.flatnonzero(np.diff(rows["frame"])) + 1
        ends = [*starts.tolist(), len(rows)]
        first = 0
        for end in ends[:-1]:
            yield rows.take(slice(first, end))
            first = end
        kept = rows.take(slice(first, None))
    if kept is not None and len(kept):
        yield kept


def _started(rows: Rows) -> Rows:
    """Rows as molecules of one detection; a weight replaces the uncertainty of each axis."""
    columns = dict(rows.columns)
    columns.setdefault("detections", np.ones(len(rows), np.int64))
    for axis in "xy":
        sigma = columns.pop(f"uncertainty_{axis}_nm", None)
        if sigma is None:
            weight = np.ones(len(rows))
        else:
            stated = sigma > 0
            weight = np.where(stated, 1 / np.where(stated, sigma, 1) ** 2, _UNKNOWN_WEIGHT)
        columns[f"weight_{axis}"] = weight
    return Rows(columns)


def _finished(molecules: Rows, *, known: bool) -> Rows:
    """Molecules with uncertainties in place of weights, if any are known."""
    columns = dict(molecules.columns)
    for axis in "xy":
        weight = columns.pop(f"weight_{axis}")
        if known:
            stated = weight > 1e3 * _UNKNOWN_WEIGHT
            columns[f"uncertainty_{axis}_nm"] = np.where(stated, weight**-0.5, np.nan)
    return Rows(columns)


def _joined(
    molecules: Rows, rows: Rows, first: NDArray[np.int64], second: NDArray[np.int64]
) -> Rows:
    """Molecules with the rows that continue them."""
    columns = {name: values.copy() for name, values in molecules.columns.items()}
    before, after = columns["detections"][first], rows["detections"][second]
    for axis in "xy":
        weight, other = columns[f"weight_{axis}"][first], rows[f"weight_{axis}"][second]
        name = f"{axis}_nm"
        apart = rows[name][second] - columns[name][first]
        columns[name][first] += apart * other / (weight + other)
        columns[f"weight_{axis}"][first] = weight + other
    for name in columns:
        values = rows[name][second]
        if name in _MEANS:
            columns[name][first] += (values - columns[name][first]) * after / (before + after)
        elif name in _SUMS:
            columns[name][first] += values
        elif name in _ROOT_SUMS:
            columns[name][first] = np.hypot(columns[name][first], values)
        elif name == "probability":
            columns[name][first] = np.maximum(columns[name][first], values)
    columns["detections"][first] = before + after
    return Rows(columns)


def _stacked(above: Rows, below: Rows) -> Rows:
    return _in_one([above, below])


def _in_one(parts: Sequence[Rows]) -> Rows:
    """All rows of some blocks with equal columns."""
    names = parts[0].columns
    return Rows({name: np.concatenate([part[name] for part in parts]) for name in names})


def _pairs(
    molecules: Rows, rows: Rows, reach_nm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of molecules and rows that are joined, nearest first, each once."""
    first, second, distance2 = _near(molecules, rows, reach_nm)
    order = np.lexsort([second, first, distance2])
    first, second = first[order], second[order]
    chosen: list[NDArray[np.int64]] = []
    while len(first):
        foremost = np.zeros((2, len(first)), bool)
        for side, ends in enumerate((first, second)):
            foremost[side, np.unique(ends, return_index=True)[1]] = True
        both = foremost.all(axis=0)
        chosen.append(np.stack([first[both], second[both]]))
        left = ~(np.isin(first, first[both]) | np.isin(second, second[both]))
        first, second = first[left], second[left]
    joined = np.concatenate([np.empty((2, 0), np.int64), *chosen], axis=1)
    return joined[0], joined[1]


def _near(
    molecules: Rows, rows: Rows, reach_nm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs within reach: indices of molecules and rows, and their squared distances.

    Rows are sorted into strips of the reach's width, so a molecule's are in three of them.
    """
    strip = np.floor(rows["y_nm"] / reach_nm).astype(np.int64)
    order = np.lexsort([rows["x_nm"], strip])
    width_nm = 4 * reach_nm + np.ptp(np.concatenate([rows["x_nm"], molecules["x_nm"]]))
    key = strip[order] * width_nm + rows["x_nm"][order]
    firsts, seconds = [], []
    for step in (-1, 0, 1):
        home = (np.floor(molecules["y_nm"] / reach_nm) + step) * width_nm + molecules["x_nm"]
        low = np.searchsorted(key, home - reach_nm)
        count = np.searchsorted(key, home + reach_nm, side="right") - low
        first = np.repeat(np.arange(len(molecules)), count)
        within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        firsts.append(first)
        seconds.append(order[np.repeat(low, count) + within])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    distance2 = sum((molecules[n][first] - rows[n][second]) ** 2 for n in ("x_nm", "y_nm"))
    near = distance2 <= reach_nm**2
    return first[near], second[near], distance2[near]
