"""Writes the drift of a film as a plot, in nm over frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.output.plot import Axes, Curve, write_plot

POINTS_MOST = 4000
"""Most frames that are plotted; of a longer film, some."""


def write_drift_plot(
    path: Path, drift: Drift, frames: NDArray[np.int64], *, title: str, error_nm: float | None
) -> None:
    """Plot how far the sample has moved to the right (x) and down (y).

    Parameters
    ----------
    path : Path
        The PNG; replaced if it exists.
    drift : Drift
        In nm.
    frames : ndarray, shape (F,), int64
        Frames of the film, ascending.
    title : str
        The headline.
    error_nm : float or None
        Standard error along an axis, where it is known.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    shown = frames[:: -(-len(frames) // POINTS_MOST)]
    y_nm, x_nm = drift.at(shown)
    axis = shown.astype(np.float64)
    error = "" if error_nm is None else f", standard error {error_nm:.1f} nm"
    axes = Axes(f"{title}{error}", "frame", "drift in nm")
    write_plot(path, axes, [Curve("x", axis, x_nm), Curve("y", axis, y_nm)])
