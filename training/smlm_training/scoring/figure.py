"""Draw figures of scores: image beside truth, and calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from smlm_training.scoring.calibration import ProbabilityCalibration, SigmaCalibration
from smlm_training.scoring.evaluate import WIDEFIELD, blurred, equal_sum, score

VIEW_BLUR_PX = 1.0
"""Blur of truth and image for display, in SR pixels."""

BRIGHTEST_PERCENTILE = 99.7
"""Percentile of the non-empty pixels that is shown white."""

SCALE_BAR_NM = 1000.0

DIFFERENCE = LinearSegmentedColormap.from_list(
    "missing to surplus",
    [(0, "#d8efff"), (0.3, "#2f8fff"), (0.5, "black"), (0.7, "#ff5a26"), (1, "#ffe0c0")],
)
"""Blue where the image has too few emitters, red where it has too many, black where it is right."""

_Image = NDArray[np.floating[Any]]


def write_figure(
    path: Path,
    *,
    widefield: _Image,
    truth: NDArray[np.float64],
    image: _Image,
    sr_pixel_size_nm: float,
) -> None:
    """Four panels side by side, with one scale bar and the NMSE of each image.

    Truth and reconstruction share one white level, and the difference has the same range
    on both sides of black, all in emitters per SR pixel after a blur of ``VIEW_BLUR_PX``.
    Image and wide field are scaled to the sum of the truth, as for the NMSE. The wide
    field has a separate white level.

    Parameters
    ----------
    path : Path
        The PNG to write.
    widefield, truth, image : ndarray, shape (Y, X)
        On the same SR grid.
    sr_pixel_size_nm : float
        Edge of a pixel of that grid.
    """
    views = {
        WIDEFIELD: blurred(equal_sum(widefield, truth), VIEW_BLUR_PX),
        "truth": blurred(truth, VIEW_BLUR_PX),
        "reconstruction": blurred(equal_sum(image, truth), VIEW_BLUR_PX),
    }
    views["difference"] = views["reconstruction"] - views["truth"]
    white = _white(views["truth"])
    titles = {
        WIDEFIELD: f"{WIDEFIELD}\n{_nmse(widefield, truth)}",
        "truth": f"truth\n{truth.sum():,.0f} emitters",
        "reconstruction": f"reconstruction\n{_nmse(image, truth)}",
        "difference": f"reconstruction - truth, blurred by {VIEW_BLUR_PX:g} px\n"
        "blue: missing, red: too much",
    }
    figure = Figure(figsize=(17.6, 5.6), facecolor="black")
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.92))  # room for the titles
    for axes, (name, view) in zip(figure.subplots(1, len(views)), views.items(), strict=True):
        low, high = (-white, white) if name == "difference" else (0.0, white)
        shown = axes.imshow(
            view,
            cmap=DIFFERENCE if name == "difference" else mpl.colormaps["hot"],
            vmin=low,
            vmax=_white(view) if name == WIDEFIELD else high,
            interpolation="auto",  # "nearest" drops lines of images larger than a panel
        )
        axes.set_title(titles[name], color="white", fontsize=12)
        axes.set_axis_off()
        _colour_bar(figure, axes, shown)
        _scale_bar(axes, view.shape, sr_pixel_size_nm)
    figure.savefig(path, dpi=120)


def _nmse(image: _Image, truth: NDArray[np.float64]) -> str:
    errors = " / ".join(f"{value:.1f}" for value in score(image, truth).nmse_percent)
    return f"NMSE {errors} % (blur 0 / 1 / 2 px)"


def _white(view: NDArray[np.float64]) -> float:
    lit = view[view > view.max() * 1e-3]
    return float(np.percentile(lit, BRIGHTEST_PERCENTILE)) if lit.size else 1.0


def _colour_bar(figure: Figure, axes: Any, shown: Any) -> None:
    bar = figure.colorbar(shown, ax=axes, orientation="horizontal", fraction=0.04, pad=0.02)
    bar.set_label("emitters per SR pixel", color="white")
    bar.ax.tick_params(colors="white")
    bar.outline.set_edgecolor("white")


def _scale_bar(axes: Any, shape: tuple[int, ...], sr_pixel_size_nm: float) -> None:
    """White on a dark ground, to be visible on filaments too."""
    height, width = shape
    right, length_px = width * 0.95, SCALE_BAR_NM / sr_pixel_size_nm
    axes.plot([right - length_px, right], [height * 0.95] * 2, color="white", linewidth=3)
    axes.text(
        right - length_px / 2,
        height * 0.935,
        f"{SCALE_BAR_NM / 1000:g} µm",
        color="white",
        ha="center",
        va="bottom",
        bbox={"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1},
    )


def write_calibration_figure(
    path: Path, sigma: SigmaCalibration, probability: ProbabilityCalibration
) -> None:
    """Two panels with the identity line, on which the points of a calibrated network fall.

    Parameters
    ----------
    path : Path
        The PNG to write.
    sigma : SigmaCalibration
        Left: root mean square error against root mean square sigma of each bin.
    probability : ProbabilityCalibration
        Right: share of true localisations against mean probability of each bin,
        with the standard error sqrt(p (1 - p) / n) of a calibrated network's.
    """
    figure = Figure(figsize=(9.6, 5.0), layout="tight")
    left, right = figure.subplots(1, 2)
    largest = max([1.0, *(max(part.sigma_nm, part.error_nm) for part in sigma.bins)]) * 1.08
    left.plot([0, largest], [0, largest], color="0.6", linestyle="--", label="calibrated")
    left.plot(
        [part.sigma_nm for part in sigma.bins],
        [part.error_nm for part in sigma.bins],
        "o-",
        label=f"RMS error / sigma {sigma.z_rms:.2f}",
    )
    left.set(
        xlim=(0, largest),
        ylim=(0, largest),
        xlabel="predicted sigma (nm)",
        ylabel="RMS error (nm)",
        title="errors along y and x",
    )
    predicted = np.array([part.probability for part in probability.bins])
    found = np.array([part.found for part in probability.bins])
    right.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="calibrated")
    right.errorbar(
        predicted,
        [part.frequency for part in probability.bins],
        yerr=np.sqrt(predicted * (1 - predicted) / found),
        fmt="o-",
        capsize=3,
        label=f"expected error {probability.expected_error:.3f}",
    )
    right.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="predicted probability",
        ylabel="share with a true emitter",
        title="localisations",
    )
    for axes in (left, right):
        axes.set_box_aspect(1)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    figure.savefig(path, dpi=120)
