"""A figure as in the reference paper: every method at one contrast, a zoom, and a cut across."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from smlm_bench.method import REFINED
from smlm_bench.table.close_lines import HALF_WIDTH_NM, Cut, close_lines
from smlm_training.scoring.evaluate import blurred, equal_sum

VIEW_BLUR_PX = 1.0
"""SR pixels by which every image is smoothed for the eye, and for the cut."""

FIND_BLUR_PX = 2.0
"""The same for the truth in which close filaments are looked for."""

ZOOM_NM = 1600.0
"""Edge of the square that is shown enlarged."""

BRIGHTEST_PERCENTILE = 99.5
"""White, of the truth's pixels that are not empty."""

_COLUMNS = 6
_COLOURS = {
    "single-emitter": "#8c8c8c",
    "picasso": "#b0a080",
    "cel0": "#f0e442",
    "falcon": "#e69f00",
    "deep-storm": "#d55e00",
    "unet-interpolated": "#cc79a7",
    "unet": "#56b4e9",
    "unet-fast": "#009e73",
}
"""Of the profiles, after Okabe and Ito: distinct on black, and for colour-blind readers."""
_OTHERS = "#0072b2"
_OUTLINE = [withStroke(linewidth=3, foreground="black")]
_OWN_CONTRAST = "wide field"

Values = NDArray[np.float64]


def write_table_figure(
    path: Path,
    images: Mapping[str, Values],
    truth: Values,
    *,
    fine_nm: float,
    captions: Mapping[str, str],
) -> None:
    """Panels of the whole field and of a square of it, and one profile through them all.

    All images are scaled to the sum of the truth and shown with its white level, but
    for the wide field, whose light is spread too thin for that.

    Parameters
    ----------
    path : Path
        The PNG to write.
    images : mapping of str to ndarray, shape (Y, X)
        Wide field first, then the methods, by the titles of their panels.
    truth : ndarray, shape (Y, X)
        Emitters per SR pixel.
    fine_nm : float
        Edge of a SR pixel.
    captions : mapping of str to str
        Text below the title of an image.
    """
    cut = close_lines(blurred(truth, FIND_BLUR_PX), fine_nm)
    views = {"truth": blurred(truth, VIEW_BLUR_PX)}
    for name, image in images.items():
        views[name] = blurred(equal_sum(image, truth), VIEW_BLUR_PX)
    views = {_OWN_CONTRAST: views.pop(_OWN_CONTRAST), **views}
    columns = min(_COLUMNS, len(views))
    bands = math.ceil(len(views) / columns)
    page = Figure(figsize=(3.1 * columns, 6.5 * bands + 3.6), facecolor="black")
    page.set_layout_engine("constrained")
    grid = page.add_gridspec(2 * bands + 1, columns, height_ratios=[1] * (2 * bands) + [1.1])
    square = _square(cut, truth.shape, fine_nm)
    white = _white(views["truth"])
    for place, (name, view) in enumerate(views.items()):
        band, column = divmod(place, columns)
        level = _white(view) if name == _OWN_CONTRAST else white
        whole = page.add_subplot(grid[2 * band, column])
        _show_whole(whole, name, view, level, square, fine_nm)
        whole.set_title(f"{name}\n{captions.get(name, '')}", color="white", fontsize=11)
        near = page.add_subplot(grid[2 * band + 1, column])
        _show_zoom(near, view, level, square, cut)
        if name == _OWN_CONTRAST:
            _mark_scale(near, square, fine_nm)
    _show_profiles(page.add_subplot(grid[-1, :]), views, cut)
    page.savefig(path, dpi=110)


def _show_whole(
    axes: Any, name: str, view: Values, white: float, square: Rectangle, fine_nm: float
) -> None:
    axes.imshow(view, cmap=mpl.colormaps["hot"], vmin=0, vmax=white, interpolation="nearest")
    frame = Rectangle(square.get_xy(), square.get_width(), square.get_height())
    frame.set(fill=False, edgecolor="deepskyblue", linewidth=1.2)
    axes.add_patch(frame)
    axes.set_axis_off()
    height, width = view.shape
    bar_px = 1000 / fine_nm
    if bar_px < width / 2:
        axes.plot([width * 0.95 - bar_px, width * 0.95], [height * 0.95] * 2, "w-", linewidth=3)
        if name == _OWN_CONTRAST:
            axes.text(
                width * 0.95 - bar_px / 2,
                height * 0.93,
                "1 µm",
                color="w",
                ha="center",
                va="bottom",
                path_effects=_OUTLINE,
            )


def _show_zoom(axes: Any, view: Values, white: float, square: Rectangle, cut: Cut) -> None:
    axes.imshow(view, cmap=mpl.colormaps["hot"], vmin=0, vmax=white, interpolation="nearest")
    axes.add_patch(Polygon(cut.corners(), fill=False, edgecolor="deepskyblue", linewidth=1))
    left, top = square.get_xy()
    axes.set_xlim(left, left + square.get_width())
    axes.set_ylim(top + square.get_height(), top)
    axes.set_axis_off()


def _mark_scale(axes: Any, square: Rectangle, fine_nm: float) -> None:
    """A bar of a fifth of a micrometre, in the lower right corner of the enlarged square."""
    left, top = square.get_xy()
    size, bar_px = square.get_width(), 200 / fine_nm
    right, low = left + 0.95 * size, top + 0.95 * size
    axes.plot([right - bar_px, right], [low, low], "w-", linewidth=3)
    axes.text(
        right - bar_px / 2,
        low - 0.02 * size,
        "200 nm",
        color="w",
        ha="center",
        va="bottom",
        path_effects=_OUTLINE,
    )


def _show_profiles(axes: Any, views: Mapping[str, Values], cut: Cut) -> None:
    places_nm = cut.places_nm()
    for name, view in views.items():
        profile = cut.profile(view)
        colour = _COLOURS.get(name.removesuffix(REFINED), _OTHERS)
        dashes = "--" if name.endswith(REFINED) else "-"
        style = {"color": colour, "linewidth": 1.6, "linestyle": dashes}
        if name == "truth":
            style = {"color": "white", "linewidth": 3.0}
        elif name == _OWN_CONTRAST:
            style = {"color": "white", "linewidth": 1.2, "linestyle": ":"}
        axes.plot(places_nm, profile, label=name, **style)
    axes.set_facecolor("black")
    axes.set_xlim(places_nm[0], places_nm[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(
        f"nm along the blue strip, averaged over its {2 * HALF_WIDTH_NM:g} nm", color="white"
    )
    axes.set_ylabel("emitters per SR pixel", color="white")
    axes.tick_params(colors="white")
    for spine in axes.spines.values():
        spine.set_color("0.5")
    axes.legend(labelcolor="white", facecolor="black", edgecolor="0.5", fontsize=9, ncols=2)


def _square(cut: Cut, shape: tuple[int, ...], fine_nm: float) -> Rectangle:
    """The square around the cut, moved into the field."""
    size = min(ZOOM_NM / fine_nm, *shape)
    left = min(max(cut.x - size / 2, 0), shape[1] - size)
    top = min(max(cut.y - size / 2, 0), shape[0] - size)
    return Rectangle((left - 0.5, top - 0.5), size, size)


def _white(view: Values) -> float:
    lit = view[view > view.max() * 1e-3]
    return float(np.percentile(lit, BRIGHTEST_PERCENTILE)) if lit.size else 1.0
