"""An image compared with the wide field of its film, and what else tells whether it is right."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.survey import Survey
from smlm_pipeline.resolution.error_map import ErrorMap, error_map
from smlm_pipeline.resolution.pixel_places import PixelPlaces, pixel_places
from smlm_pipeline.run.accumulate import SrImage
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.run.wide_field import WideField

_RATE_PARTS = 8
"""Parts of a film over which molecules a frame are averaged before their peak is taken."""


@dataclass(frozen=True)
class Comparison:
    """An image beside the wide field of the same frames.

    Attributes
    ----------
    map : ErrorMap
        In ADU, of an average frame above its background.
    places : PixelPlaces
        Of the molecules in the image.
    first_frame : ndarray, shape (R,), int64
        First frame of each range of frames, counted from the film's first.
    molecules_per_frame : ndarray, shape (R,), float64
        Molecules of a frame in each range.
    frame_count : int
        Frames of the film.
    """

    map: ErrorMap
    places: PixelPlaces
    first_frame: NDArray[np.int64]
    molecules_per_frame: NDArray[np.float64]
    frame_count: int
    elapsed_s: float

    @property
    def molecules(self) -> float:
        """Molecules in all frames; NaN where no range of frames is whole."""
        rates = self.molecules_per_frame
        return float(rates.mean()) * self.frame_count if rates.size else math.nan

    @property
    def peak(self) -> float:
        """Molecules a frame in the fullest part of the film, relative to all of it."""
        rates = self.molecules_per_frame
        if not rates.size or rates.mean() <= 0:
            return 1.0
        parts = [part.mean() for part in np.array_split(rates, min(_RATE_PARTS, len(rates)))]
        return float(max(parts) / rates.mean())

    @property
    def densest_per_px(self) -> float:
        """Molecules of a frame per camera pixel, at the densest place and time."""
        return self.places.dense / self.frame_count * self.peak

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON; keys carry their units."""
        found = self.map
        largest_adu = float(np.nanpercentile(found.wide_field, 99.9)) - found.offset
        return {
            "rsp": round(found.pearson, 4),
            "rse_adu": round(found.error, 4),
            "rse_percent_of_brightest": round(100 * found.error / (largest_adu or 1.0), 2),
            "noise_adu": round(found.noise, 4),
            "unexplained_percent": round(100 * found.unexplained, 1),
            "sigma_px": None if math.isnan(found.sigma_px) else round(found.sigma_px, 3),
            "adu_per_molecule": round(found.slope, 3),
            "offset_adu": round(found.offset, 3),
            "uneven_within_pixel_percent": round(100 * self.places.deviation, 1),
            "densest_molecules_per_px": round(self.densest_per_px, 4),
            "elapsed_s": round(self.elapsed_s, 3),
        }


def compared(
    image: SrImage, wide: WideField, blank: NDArray[np.bool_], plan: RunPlan, survey: Survey
) -> Comparison:
    """Compare the plain sum of a run with its wide field.

    Parameters
    ----------
    image : SrImage
        The sum, with its drift: the wide field has it too.
    wide : WideField
        The light of the same chunks.
    blank : ndarray, shape (Y, X), bool
        Camera pixels that show no picture.
    plan : RunPlan
        That of the run.
    survey : Survey
        That of the film, for the scale.
    """
    started = time.perf_counter()
    per_frame_adu = survey.sample.scale_adu / plan.frame_count
    light_adu = np.where(blank, 0.0, wide.light * per_frame_adu)
    found = error_map(_PerFrame(image, plan.frame_count), light_adu, plan.zoom, blank)
    places = pixel_places(image, plan.zoom)
    elapsed_s = time.perf_counter() - started
    return Comparison(found, places, *wide.per_frame(), plan.frame_count, elapsed_s)


class _PerFrame:
    """Molecules of an average frame, read by rows."""

    def __init__(self, image: SrImage, frame_count: int) -> None:
        self._image, self._factor = image, np.float32(1 / frame_count)
        self.shape = image.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        return self._image[rows] * self._factor
