"""Checks whether an image can be trusted, each with a verdict and a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from smlm_pipeline import contract
from smlm_pipeline.film.remarks import remarks_by_kind
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.resolution.error_map import SIGMA_MOST_PX
from smlm_pipeline.resolution.pixel_places import BLOCK_PX
from smlm_pipeline.run.comparing import Comparison

UNEXPLAINED_MOST = 0.5
"""Share of the wide field's structure that a good image may lack (docs/report.md); where it lacks
more, the width of the spots is not known."""

WIDTH_TOLERANCE = 0.05
"""A width so far beyond its range, relative to it, is within the error of the fit."""

GRIDDING_MOST, GRIDDING_ERRORS = 0.15, 3.0
"""Deviation from an even distribution that is no gridding, and standard errors to exceed it by."""

PEAK_MOST = 3.0
"""Molecules a frame in the fullest eighth of a film, relative to the mean: more is uneven."""

_AGREEMENT, _DENSITY = "agreement with the wide field", "density"
_WIDTH, _GRIDDING, _TIME = "width of the spots", "gridding", "molecules over time"
_IMAGE_CHECKS = (_AGREEMENT, _DENSITY, _WIDTH, _GRIDDING, _TIME)

MOLECULES_LEAST = 30.0
"""Molecules in all frames that can be judged: of fewer, eight parts of a film differ by chance."""

NOISE_PER_PX = 1e-6
"""Molecules a frame and camera pixel that are no more than noise, where nothing blinks: the network
finds a tenth of it in films of noise alone."""

Verdict = Literal["ok", "look", "not checked"]


@dataclass(frozen=True)
class Check:
    """One check: its name, its verdict, and what was found in a sentence."""

    name: str
    verdict: Verdict
    text: str


def checks(
    comparison: Comparison,
    survey: Survey,
    corner: Corner,
    trained: Mapping[str, tuple[float, float]],
) -> list[Check]:
    """Check an image and its film.

    Parameters
    ----------
    comparison : Comparison
        Of the image with its wide field.
    survey : Survey
        Of the film.
    corner : Corner
        Where the film begins in its file.
    trained : Mapping of str to a pair of float
        Ranges that the network was trained on (`contract.ranges_of`); empty where
        they are not known.
    """
    return [*_on_image(comparison, survey, trained), *_on_film(survey, corner)]


def notes_of(
    comparison: Comparison, survey: Survey, trained: Mapping[str, tuple[float, float]]
) -> list[str]:
    """What the user should know of the checks; what is on the film has been remarked before."""
    found = _on_image(comparison, survey, trained)
    return [f"check of {each.name}: {each.text}" for each in found if each.verdict == "look"]


def _on_image(
    comparison: Comparison, survey: Survey, trained: Mapping[str, tuple[float, float]]
) -> list[Check]:
    empty = _nothing_to_judge(comparison, survey)
    if empty:
        return [Check(name, "not checked", empty) for name in _IMAGE_CHECKS]
    return [
        _on_wide_field(comparison),
        _on_density(comparison, trained.get(contract.DENSITY_RANGE)),
        _on_width(comparison, trained.get(contract.WIDTH_RANGE)),
        _on_gridding(comparison),
        _on_time(comparison),
    ]


def _nothing_to_judge(comparison: Comparison, survey: Survey) -> str:
    """Why an image without molecules cannot be judged; empty where it can."""
    molecules = comparison.molecules
    if molecules < MOLECULES_LEAST:
        found = "no molecule" if molecules < 1 else f"some {molecules:.0f} molecules"
        return (
            f"there is nothing to judge: the image has {found} in all frames (expected "
            f"{MOLECULES_LEAST:g})"
        )
    noise = NOISE_PER_PX * comparison.map.wide_field.size * comparison.frame_count
    if survey.sample.scale_error is None and molecules < noise:
        return (
            "there is nothing to judge: nothing blinks in the film, and the image has no more "
            "molecules than are found in noise"
        )
    return ""


def _on_wide_field(comparison: Comparison) -> Check:
    found = comparison.map
    name = _AGREEMENT
    if math.isnan(found.sigma_px):
        text = "the image and the wide field have nothing in common, or one of them is empty"
        return Check(name, "look", text)
    missed = 100 * found.unexplained
    text = (
        f"RSP {found.pearson:.3f}; {missed:.0f} % of the wide field's structure is not in the image"
    )
    if found.unexplained <= UNEXPLAINED_MOST:
        return Check(name, "ok", text)
    return Check(name, "look", f"{text}: the error map shows where")


def _on_density(comparison: Comparison, trained: tuple[float, float] | None) -> Check:
    name, area = _DENSITY, BLOCK_PX**2
    densest = area * comparison.densest_per_px
    text = f"up to {densest:.3g} molecules a frame in {BLOCK_PX} x {BLOCK_PX} camera pixels"
    if trained is None:
        return Check(name, "not checked", f"{text}; the engine does not state its network's range")
    if densest <= trained[1]:
        return Check(name, "ok", f"{text}; the network was trained up to {trained[1]:.3g}")
    return Check(
        name,
        "look",
        f"{text}, more than the {trained[1]:.3g} that the network was trained up to: counts are "
        "too low there; film with fewer molecules shining at once",
    )


def _on_width(comparison: Comparison, trained: tuple[float, float] | None) -> Check:
    name, sigma_px = _WIDTH, comparison.map.sigma_px
    if math.isnan(sigma_px) or comparison.map.unexplained > UNEXPLAINED_MOST:
        return Check(name, "not checked", "the image is too unlike the wide field to tell")
    more = " or more" if sigma_px > SIGMA_MOST_PX - 0.05 else ""
    text = f"sigma {sigma_px:.2f}{more} camera pixels"
    if trained is None:
        return Check(name, "not checked", f"{text}; the engine does not state its network's range")
    low, high = trained
    range_text = f"{low:g} to {high:g}"
    if low * (1 - WIDTH_TOLERANCE) <= sigma_px <= high * (1 + WIDTH_TOLERANCE):
        return Check(name, "ok", f"{text}; the network was trained for {range_text}")
    return Check(
        name,
        "look",
        f"{text}, outside of the {range_text} that the network was trained for: out of focus, or "
        "another magnification? 'recon-train match' and 'fit' make a network for it",
    )


def _on_gridding(comparison: Comparison) -> Check:
    name, places = _GRIDDING, comparison.places
    if len(places.x_share) < 2:
        return Check(name, "not checked", "the image has one pixel a camera pixel")
    if not places.deviation_error <= GRIDDING_MOST:
        return Check(name, "not checked", "too few structures to tell them from the grid")
    uneven, error = places.deviation, places.deviation_error
    text = f"places within camera pixels are even to {100 * uneven:.0f} (+-{100 * error:.0f}) %"
    if uneven <= GRIDDING_MOST + GRIDDING_ERRORS * error:
        return Check(name, "ok", text)
    return Check(
        name, "look", f"{text}: the image follows the camera's grid, so fine detail is not certain"
    )


def _on_time(comparison: Comparison) -> Check:
    name, rates = _TIME, comparison.molecules_per_frame
    if not rates.size:
        return Check(name, "not checked", "no range of frames is whole")
    text = (
        f"{rates.mean():,.3g} molecules a frame; {comparison.peak:.2f} times as many in the "
        "fullest part of the film"
    )
    if comparison.peak <= PEAK_MOST:
        return Check(name, "ok", text)
    return Check(name, "look", f"{text}: most of the image is of a short part of the film")


def _on_film(survey: Survey, corner: Corner) -> list[Check]:
    """The remarks on the film as checks."""
    even = {
        "pixels": ("pixels of the camera", "none is hot, dead or without a picture"),
        "clipping": ("saturation", "no value is clipped"),
        "scale": ("brightness of a molecule", "known to 15 % or better"),
        "light": ("light over time and field", "levels are steady and even"),
    }
    return [
        Check(even[kind][0], "look" if found else "ok", "; ".join(found) or even[kind][1])
        for kind, found in remarks_by_kind(survey, corner).items()
    ]
