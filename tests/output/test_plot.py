"""Plots: curves are where their values are, with ticks at round numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.errors import OutputError
from smlm_pipeline.output.drift_plot import write_drift_plot
from smlm_pipeline.output.plot import Axes, Curve, write_plot

AXES = Axes("title", "x", "y", (0.0, 1.0))
BLUE, RED = (0, 90, 181), (220, 50, 32)


def _where(path: Path, colour: tuple[int, int, int]) -> NDArray[np.intp]:
    """Rows and columns of the pixels of a colour, without those of the legend."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    places = np.argwhere((pixels == colour).all(axis=2))
    return places[places[:, 0] > 75]


def test_a_curve_goes_from_corner_to_corner(tmp_path: Path) -> None:
    line = np.linspace(0, 1, 50)
    write_plot(tmp_path / "a.png", AXES, [Curve("up", line, line)])
    rows, columns = _where(tmp_path / "a.png", BLUE).T
    assert rows[columns.argmin()] > 600 > 90 > rows[columns.argmax()]
    slope = np.polyfit(columns, rows, 1)[0]
    assert slope == pytest.approx(-540 / 1050, rel=0.02)


def test_gaps_points_and_flat_curves(tmp_path: Path) -> None:
    x = np.arange(11.0)
    y = np.where((x > 3) & (x < 7), np.nan, 0.5)
    write_plot(tmp_path / "a.png", AXES, [Curve("gap", x, y), Curve("point", x[5:6], y[:1])])
    columns = np.unique(_where(tmp_path / "a.png", BLUE)[:, 1])
    assert np.diff(columns).max() > 300
    assert len(_where(tmp_path / "a.png", RED))
    axes = Axes("flat", "x", "y")
    write_plot(tmp_path / "b.png", axes, [Curve("flat", x, np.full(11, 3.0))])
    assert len(_where(tmp_path / "b.png", BLUE)) > 1000


def test_a_long_drift_is_plotted(tmp_path: Path) -> None:
    drift = Drift(np.array([0.0, 1e6]), np.array([[0.0, 100.0], [0.0, -50.0]]))
    frames = np.arange(0, 10**6, 7)
    write_drift_plot(tmp_path / "a.png", drift, frames, title="Drift", error_nm=1.5)
    right, left = (_where(tmp_path / "a.png", colour) for colour in (BLUE, RED))
    assert right[right[:, 1].argmax(), 0] > left[left[:, 1].argmax(), 0]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_plot(tmp_path / "gone" / "a.png", AXES, [Curve("a", np.arange(2.0), np.arange(2.0))])
