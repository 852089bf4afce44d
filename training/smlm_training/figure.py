"""The figure that people look at: wide field, truth, reconstruction, at one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

VIEW_BLUR_PX = 1.0
"""Fine pixels by which points are smoothed for the eye, in truth and image alike."""

BRIGHTEST_PERCENTILE = 99.7
"""White in each panel, of the pixels that are not empty."""

SCALE_BAR_NM = 1000.0


def write_figure(
    path: Path, panels: dict[str, NDArray[np.floating[Any]]], *, sr_pixel_size_nm: float
) -> None:
    """Panels side by side in the colour map 'hot', with one scale bar.

    Parameters
    ----------
    path : Path
        The PNG to write.
    panels : dict
        Title -> image, all of one shape.
    sr_pixel_size_nm : float
        Edge of a pixel of the images.
    """
    figure = Figure(figsize=(4.2 * len(panels), 4.45), layout="constrained", facecolor="black")
    for axes, (title, image) in zip(
        np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        view = gaussian_filter(np.asarray(image, np.float64), VIEW_BLUR_PX)
        lit = view[view > view.max() * 1e-3]
        white = np.percentile(lit, BRIGHTEST_PERCENTILE) if lit.size else 1.0
        axes.imshow(view, cmap=mpl.colormaps["hot"], vmin=0, vmax=white, interpolation="nearest")
        axes.set_title(title, color="white")
        axes.set_axis_off()
    height, width = next(iter(panels.values())).shape
    length_px = SCALE_BAR_NM / sr_pixel_size_nm
    axes.plot(
        [width * 0.95 - length_px, width * 0.95], [height * 0.95] * 2, color="white", linewidth=3
    )
    axes.text(
        width * 0.95 - length_px / 2,
        height * 0.935,
        f"{SCALE_BAR_NM / 1000:g} µm",
        color="white",
        ha="center",
        va="bottom",
    )
    figure.savefig(path, dpi=120)
