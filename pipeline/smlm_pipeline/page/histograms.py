"""Histograms of the molecules of a run, of any number, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.tables.rows import Rows

LIGHT_COLUMNS = {"photons": "photons", "intensity_adu": "ADU"}
"""Columns of the light of a molecule, and their units: a table has one of them."""

_LIGHT_EDGES = np.logspace(-1, 8, 9 * 80 + 1)
_UNCERTAINTY_EDGES_NM = np.arange(0, 301.0, 1.0)

SHARE_SHOWN = 0.995
"""Share of the molecules between the ends of a histogram; the longest tails are left out."""


@dataclass(frozen=True)
class Histogram:
    """Counts (B,) between edges (B + 1,), and the median over all molecules or frames."""

    name: str
    unit: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    logarithmic: bool = False

    @property
    def median(self) -> float:
        """The median, within its bin as if that were even."""
        sums = np.cumsum(self.counts)
        if not len(sums) or not sums[-1]:
            return float("nan")
        place = int(np.searchsorted(sums, sums[-1] / 2))
        before = sums[place] - self.counts[place]
        share = (sums[-1] / 2 - before) / max(self.counts[place], 1)
        low, high = self.edges[place], self.edges[place + 1]
        return float(
            low * (high / low) ** share if self.logarithmic else low + share * (high - low)
        )

    def shown(self, bins_most: int = 60) -> Histogram:
        """Without empty ends and longest tails, in at most so many bins."""
        total = int(self.counts.sum())
        if not total:
            return self
        sums = np.cumsum(self.counts)
        tail = (1 - SHARE_SHOWN) / 2 * total
        first = int(np.searchsorted(sums, tail, side="right"))
        last = int(np.searchsorted(sums, total - tail)) + 1
        joined = -(-(last - first) // bins_most)
        last = min(first + -(-(last - first) // joined) * joined, len(self.counts))
        starts = np.arange(first, last, joined)
        counts = np.add.reduceat(self.counts[:last], starts)
        edges = np.append(self.edges[starts], self.edges[last])
        return Histogram(self.name, self.unit, edges, counts, self.logarithmic)

    def as_dict(self) -> dict[str, Any]:
        """The histogram as it is shown, for JSON."""
        shown, median = self.shown(), self.median
        return {
            "unit": self.unit,
            "median": None if np.isnan(median) else float(f"{median:.4g}"),
            "logarithmic": self.logarithmic,
            "edges": [float(f"{edge:.6g}") for edge in shown.edges],
            "counts": shown.counts.tolist(),
        }


def molecule_histograms(blocks: Iterable[Rows], frames: NDArray[np.int64]) -> list[Histogram]:
    """Count light, uncertainty, and molecules of a frame.

    Parameters
    ----------
    blocks : iterable of Rows
        The molecules.
    frames : ndarray, shape (F,), int64
        Numbers of all frames of the film, ascending.

    Returns
    -------
    list of Histogram
        Of the light, of the uncertainty of a place along an axis, and of molecules of a frame.
    """
    light = np.zeros(len(_LIGHT_EDGES) - 1, np.int64)
    uncertainty = np.zeros(len(_UNCERTAINTY_EDGES_NM) - 1, np.int64)
    of_frame, unit = np.zeros(len(frames), np.int64), "ADU"
    for rows in blocks:
        column = next(name for name in LIGHT_COLUMNS if name in rows.columns)
        unit = LIGHT_COLUMNS[column]
        light += np.histogram(rows.columns[column], _LIGHT_EDGES)[0]
        for axis in "xy":
            values_nm = rows.columns[f"uncertainty_{axis}_nm"]
            uncertainty += np.histogram(values_nm, _UNCERTAINTY_EDGES_NM)[0]
        of_frame += np.bincount(
            np.searchsorted(frames, rows.columns["frame"]), minlength=len(frames)
        )
    per_frame = np.bincount(of_frame)
    edges = np.arange(len(per_frame) + 1) - 0.5
    return [
        Histogram("light", unit, _LIGHT_EDGES, light, logarithmic=True),
        Histogram("uncertainty", "nm", _UNCERTAINTY_EDGES_NM, uncertainty),
        Histogram("molecules_per_frame", "molecules", edges, per_frame),
    ]
