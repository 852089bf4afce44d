"""The resolution of a run's image, by the two halves of its film."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.resolution.correlation import (
    THRESHOLD,
    ResolutionMap,
    RingCurve,
    pooled_sums,
    resolution_map,
    ring_correlation,
)
from smlm_pipeline.resolution.decorrelation import decorrelation_nm
from smlm_pipeline.resolution.rings import Image
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.plan import RunPlan

MOLECULES_LEAST = 200.0
"""Fewest molecules of a half from which a resolution is stated."""

_NO_DETAIL = (
    "decorrelation analysis finds no detail above the noise: each pixel holds too few molecules; "
    "the halves of the film tell more (--resolution), or a table of molecules"
)


@dataclass(frozen=True)
class Resolution:
    """The resolution of an image: the ring correlation of its halves, and decorrelation analysis.

    ``block_frames`` are the frames of a block of the film; blocks go to the halves by turns.
    ``curve`` and ``tiles`` are None where a half has fewer than ``MOLECULES_LEAST`` molecules, and
    where there is one image instead of ``of_halves``.
    """

    curve: RingCurve | None
    tiles: ResolutionMap | None
    decorrelation_nm: float
    block_frames: int | None
    elapsed_s: float
    of_halves: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The facts, for JSON; a number that could not be found is None."""
        curve, tiles = self.curve, self.tiles
        quartiles_nm = None if tiles is None else tiles.quartiles_nm
        return {
            "ring_correlation_nm": None if curve is None else _finite(curve.resolution_nm),
            "threshold": round(THRESHOLD, 4),
            "limited_by_pixels": curve is not None and curve.limited,
            "block_frames": self.block_frames,
            "tile_edge_nm": None if tiles is None else tiles.edge_nm,
            "tile_quartiles_nm": quartiles_nm and [round(each, 1) for each in quartiles_nm],
            "decorrelation_nm": _finite(self.decorrelation_nm),
            "elapsed_s": round(self.elapsed_s, 3),
        }

    @property
    def notes(self) -> list[str]:
        """What the user should know of it."""
        if not self.of_halves:
            return [] if math.isfinite(self.decorrelation_nm) else [_NO_DETAIL]
        if self.curve is None:
            return [
                f"too few molecules to state a resolution (expected {MOLECULES_LEAST:,.0f} in "
                "each half of the film)"
            ]
        if self.curve.limited:
            return [
                "the halves of the film correlate at every length that the pixels show, so the "
                "resolution is that of two pixels; a larger --zoom may show a better one"
            ]
        return []


def resolution_of(
    one: Image, two: Image, sr_pixel_nm: float, block_frames: int | None = None
) -> Resolution:
    """Measure the resolution of an image by its two halves.

    Parameters
    ----------
    one, two : Image
        Molecules per SR pixel, of one size.
    sr_pixel_nm : float
        Edge of an SR pixel.
    block_frames : int, optional
        Frames of the blocks that went to the halves by turns, where known.
    """
    started = time.perf_counter()
    if min(map(_sum, (one, two))) < MOLECULES_LEAST:
        return Resolution(None, None, math.inf, block_frames, time.perf_counter() - started)
    sums = pooled_sums(one, two)
    curve = ring_correlation(sums, sr_pixel_nm)
    found = curve, resolution_map(one, two, sr_pixel_nm), decorrelation_nm(sums, sr_pixel_nm)
    return Resolution(*found, block_frames, time.perf_counter() - started)


def resolution_of_one(image: Image, sr_pixel_nm: float) -> Resolution:
    """Measure the resolution of one image, by decorrelation analysis alone."""
    started = time.perf_counter()
    found_nm = decorrelation_nm(pooled_sums(image, image), sr_pixel_nm)
    elapsed_s = time.perf_counter() - started
    return Resolution(None, None, found_nm, None, elapsed_s, of_halves=False)


def resolved(
    accumulator: Accumulator, blank: NDArray[np.bool_], plan: RunPlan, sr_pixel_nm: float
) -> Resolution:
    """Measure the resolution of the sum of a run, whose plan has halves."""
    return resolution_of(*accumulator.half_images(blank), sr_pixel_nm, plan.half_frames)


def _sum(image: Image) -> float:
    rows = 256
    parts = (image[first : first + rows] for first in range(0, image.shape[0], rows))
    return math.fsum(float(part.sum(dtype=np.float64)) for part in parts)


def _finite(number: float) -> float | None:
    return round(number, 2) if math.isfinite(number) else None
