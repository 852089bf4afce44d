"""The numbers of a report: the facts of the run, and all curves and histograms of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.page.histograms import Histogram
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.resolution.correlation import THRESHOLD

SCHEMA_VERSION = 1
"""Version of the form of the numbers (``recon-client schema --report``); it grows when a field
changes its meaning or disappears."""

POINTS_MOST = 1000
"""Most points of a curve."""


def numbers_of(
    facts: Mapping[str, Any],
    result: Reconstruction,
    frames: NDArray[np.int64],
    histograms: Sequence[Histogram],
) -> dict[str, Any]:
    """Put the numbers of a report together, for JSON.

    Parameters
    ----------
    facts : Mapping
        All of `smlm_pipeline.report.Report`.
    result : Reconstruction
        The run.
    frames : ndarray, shape (F,), int64
        Numbers of the film's frames, as its file counts them.
    histograms : sequence of Histogram
        Of the molecules; empty where they were not asked for.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "report": dict(facts),
        "drift_words": list(result.drift_words),
        "curves": {
            "ring_correlation": _ring_correlation(result),
            "drift": _drift(result),
            "molecules_over_time": _molecules_over_time(result, frames),
            "within_pixel": _within_pixel(result),
        },
        "histograms": {each.name: each.as_dict() for each in histograms},
    }


def _ring_correlation(result: Reconstruction) -> dict[str, Any] | None:
    curve = result.resolution.curve if result.resolution is not None else None
    if curve is None:
        return None
    return {
        "per_um": _rounded(curve.per_um, 4),
        "correlation": _rounded(curve.correlation, 4),
        "threshold": round(THRESHOLD, 4),
    }


def _drift(result: Reconstruction) -> dict[str, Any] | None:
    drift = result.drift
    if drift is None or drift.drift is None:
        return None
    shown = _thinned(drift.frames)
    y_nm, x_nm = drift.drift.at(shown)
    return {
        "frame": shown.tolist(),
        "x_nm": _rounded(x_nm, 2),
        "y_nm": _rounded(y_nm, 2),
        "corrected": drift.applied is not None,
    }


def _molecules_over_time(
    result: Reconstruction, frames: NDArray[np.int64]
) -> dict[str, Any] | None:
    comparison = result.comparison
    if comparison is None:
        return None
    place = _thinned(np.arange(len(comparison.first_frame)))
    return {
        "frame": frames[comparison.first_frame[place]].tolist(),
        "per_frame": _rounded(comparison.molecules_per_frame[place], 4),
    }


def _within_pixel(result: Reconstruction) -> dict[str, Any] | None:
    if result.comparison is None:
        return None
    places = result.comparison.places
    return {"x_share": _rounded(places.x_share, 5), "y_share": _rounded(places.y_share, 5)}


def _thinned(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values[:: -(-len(values) // POINTS_MOST) or 1]


def _rounded(values: NDArray[Any], digits: int) -> list[float]:
    rounded: list[float] = np.round(values.astype(np.float64), digits).tolist()
    return rounded
