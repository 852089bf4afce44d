"""The picture of the page on refinement: what it does, what noise does, and too many steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from smlm_bench.refinement.films import named_film
from smlm_bench.refinement.measure import images
from smlm_pipeline.engines.opening import Engine
from smlm_training.scoring.evaluate import score

FILMS = ("curly worms", "dots", "rings that persist", "40 frames", "crowded blobs")
"""Films of the rows: lines, dots, few molecules that persist, a short film, an area."""

STEPS: tuple[int | str, ...] = ("auto", 5, 50)
"""Refinements of the columns, after truth and plain image."""

VIEW_PX = 200
"""Edge of the part that is shown, the middle of the field, in SR pixels: 2.5 um."""

_WHITE_PERCENTILE = 99.7
_PANEL_INCHES = 2.2

_View = tuple[str, NDArray[np.floating[Any]]]


def write_figure(path: Path, engine: Engine, model: str) -> None:
    """Draw truth, plain sum and refinements of each film, each row at one white level, as PNG."""
    columns = 2 + len(STEPS)
    size = (columns * _PANEL_INCHES, len(FILMS) * (_PANEL_INCHES + 0.25))
    figure = Figure(figsize=size, facecolor="black", dpi=110)
    panels = figure.subplots(len(FILMS), columns, squeeze=False)
    for row, name in zip(panels, FILMS, strict=True):
        views = _views(name, engine, model)
        lit = views[0][1][views[0][1] > 0]
        white = float(np.percentile(lit, _WHITE_PERCENTILE))
        for axes, (title, view) in zip(row, views, strict=True):
            axes.set_axis_off()
            axes.imshow(view, cmap=mpl.colormaps["hot"], vmin=0, vmax=white)
            axes.set_title(title, color="white", fontsize=8, loc="left")
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.25 / size[1], 0.03, 0.12)
    figure.savefig(path, facecolor="black")


def _views(name: str, engine: Engine, model: str) -> Sequence[_View]:
    """Title and middle of each panel of a row."""
    film = named_film(name)
    found: list[_View] = [(film.name, film.truth)]
    for steps in STEPS:
        made = images(film.frames_adu, engine, model, steps)
        if len(found) == 1:
            found.append((f"plain sum: {_errors(made.plain, film.truth)}", made.plain))
        taken = made.refinement["steps"]
        title = f"auto ({taken})" if steps == "auto" else f"{taken} steps"
        found.append((f"{title}: {_errors(made.refined, film.truth)}", made.refined))
    first = (len(film.truth) - VIEW_PX) // 2
    middle = slice(first, first + VIEW_PX)
    return [(title, view[middle, middle]) for title, view in found]


def _errors(image: NDArray[np.float32], truth: NDArray[np.float64]) -> str:
    return " / ".join(f"{value:.0f}" for value in score(image, truth).nmse_percent) + " %"
