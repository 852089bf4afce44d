"""The sections of a report's page with curves and histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smlm_pipeline.output.plot import Axes, Curve
from smlm_pipeline.page.markup import Numbers, absent, number, text
from smlm_pipeline.page.svg import bars_svg, curves_svg

_HISTOGRAMS = {
    "light": ("Light of a molecule", "{unit}", "molecules"),
    "uncertainty": ("Uncertainty of a place along an axis", "nm", "molecules, x and y"),
    "molecules_per_frame": ("Molecules of a frame", "molecules", "frames"),
}


def resolution(numbers: Numbers) -> str:
    """The curve of the ring correlation, or how to get it."""
    found, curve = numbers["report"]["resolution"], numbers["curves"]["ring_correlation"]
    if found is None:
        makes = "Fourier ring correlation of two halves of the film"
        return absent("Resolution", "not measured", "--resolution", makes)
    if curve is None:
        return "<h2>Resolution</h2><p>Too few molecules to state one.</p>"
    per_um, correlation = (np.array(curve[name]) for name in ("per_um", "correlation"))
    threshold = Curve("threshold 1/7", per_um[[0, -1]], np.full(2, curve["threshold"]))
    y_label = "correlation of two halves of the film"
    axes = Axes("Fourier ring correlation", "spatial frequency, 1/µm", y_label, (-0.1, 1.0))
    plot = curves_svg(axes, [Curve("halves", per_um, correlation), threshold])
    return _beside("Resolution", plot, [_resolution_words(found), _OF_HALVES])


_OF_HALVES = (
    "Of the plain sum; blocks of frames go to the halves by turns. Molecules that return count as "
    "detail."
)


def _resolution_words(found: Numbers) -> str:
    found_nm, quartiles = found["ring_correlation_nm"], found["tile_quartiles_nm"]
    words = ["The halves share no detail: the curve is never above 1/7."]
    if found_nm is not None:
        words = [f"<b>{found_nm:.0f} nm</b> by Fourier ring correlation (1/7)."]
    if quartiles:
        low, _, high = quartiles
        words.append(f"Half of the tiles of the field have {low:.0f} to {high:.0f} nm.")
    if found["decorrelation_nm"] is not None:
        words.append(f"Decorrelation analysis: {found['decorrelation_nm']:.0f} nm.")
    if found["limited_by_pixels"]:
        words.append("The pixels limit it: a larger <code>--zoom</code> may show more.")
    return " ".join(words)


def drift(numbers: Numbers) -> str:
    """The drift over time, or how to get it."""
    found, curve = numbers["report"]["drift"], numbers["curves"]["drift"]
    stated = [f"{text(words[0].upper() + words[1:])}." for words in numbers["drift_words"]]
    if found is None and not stated:
        makes = "the drift of the sample, taken out of image and table"
        return absent("Drift", "not estimated", "--drift auto", makes)
    if curve is None:
        return f"<h2>Drift</h2><p>{' '.join(stated)}</p>"
    frame = np.array(curve["frame"], np.float64)
    curves = [Curve(axis, frame, np.array(curve[f"{axis}_nm"])) for axis in "xy"]
    plot = curves_svg(Axes("Drift", "frame", "drift, nm"), curves)
    if not found["corrected"]:
        stated.append("The curve is an estimate that is no better than none.")
    return _beside("Drift", plot, stated)


def over_time(numbers: Numbers) -> str:
    """Molecules and levels over the film."""
    curve, levels = numbers["curves"]["molecules_over_time"], numbers["report"]["levels"]
    figures = []
    if curve["frame"]:
        frame = np.array(curve["frame"], np.float64)
        rate = Curve("molecules", frame, np.array(curve["per_frame"]))
        axes = Axes("Molecules over time", "frame", "molecules a frame")
        figures.append(curves_svg(axes, [rate], from_zero=True))
    frame = np.array(levels["frame"], np.float64)
    names = ("background", "scale")
    curves = [Curve(name, frame, np.array(levels[f"{name}_adu"])) for name in names]
    figures.append(curves_svg(Axes("Levels over time", "frame", "ADU"), curves, from_zero=True))
    plots = "".join(f"<figure>{each}</figure>" for each in figures)
    return f'<h2>Over time</h2><div class="plots">{plots}</div><p class="quiet">{_LEVELS}</p>'


_LEVELS = (
    "The background is that of a frame's darker pixels; the scale is the light of the brighter "
    "molecules at their peak."
)


def molecules(numbers: Numbers) -> str:
    """Histograms of the molecules, or how to get them; and their places in camera pixels."""
    found, figures = numbers["histograms"], []
    for name, (title, x_label, y_label) in _HISTOGRAMS.items():
        if name in found and sum(found[name]["counts"]):
            each = found[name]
            axes = Axes(title, f"{title}, {x_label.format(unit=each['unit'])}", y_label)
            bars = bars_svg(
                axes,
                np.array(each["edges"]),
                np.array(each["counts"], np.float64),
                logarithmic=each["logarithmic"],
                marked=each["median"],
            )
            median = (
                "" if each["median"] is None else f"median {number(each['median'])} {each['unit']}"
            )
            figures.append(
                f"<figure>{bars}<figcaption>{title}: {text(median)}</figcaption></figure>"
            )
    within = numbers["curves"]["within_pixel"]
    if within is not None and len(within["x_share"]) > 1:
        figures.append(_within_pixel(within))
    body = f'<div class="plots">{"".join(figures)}</div>'
    if found:
        return f"<h2>Molecules</h2>{body}"
    return (
        absent(
            "Molecules",
            "no table",
            "--molecules FILE.csv",
            "histograms of light, uncertainty and molecules a frame, and the table",
        )
        + body
    )


def _within_pixel(within: Numbers) -> str:
    shares = {axis: np.array(within[f"{axis}_share"], np.float64) for axis in "xy"}
    middle = (np.arange(len(shares["x"])) + 0.5) / len(shares["x"])
    percent = 100.0 * len(middle)
    curves = [Curve(axis, middle, percent * share) for axis, share in shares.items()]
    axes = Axes(
        "Places within camera pixels",
        "place in the camera pixel",
        "molecules, % of an even distribution",
        (0.0, 200.0),
    )
    return (
        f"<figure>{curves_svg(axes, curves)}<figcaption>Gridding: a flat line says that the image "
        "does not follow the camera's pixels.</figcaption></figure>"
    )


def _beside(title: str, plot: str, paragraphs: Sequence[str]) -> str:
    """A plot, and what it says in words beside it."""
    first, *others = paragraphs
    words = f"<p>{first}</p>" + "".join(f'<p class="quiet">{each}</p>' for each in others)
    return f'<h2>{title}</h2><div class="plots"><figure>{plot}</figure><div>{words}</div></div>'
