"""Refine films as the client does, and compare plain and refined images with the truth."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.refinement.films import TrueFilm
from smlm_bench.structures.reconstruction import ZOOM
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings
from smlm_training.scoring.evaluate import score

WORSE_MOST_PERCENT = 5.0
"""By how much the error of a film may grow, at any blur, for ``auto`` to be a default."""


@dataclass(frozen=True)
class Outcome:
    """Errors of a film's plain and refined image at blurs of 0, 1 and 2 SR pixels, in percent.

    They are None of a film without emitters. ``refinement`` are the facts that the client
    reports, ``emitters`` the sum of the plain image and ``kept`` that of the refined one over it.
    """

    film: str
    emitters: float
    kept: float
    refinement: dict[str, Any]
    plain_nmse_percent: tuple[float, ...] | None
    refined_nmse_percent: tuple[float, ...] | None

    @property
    def worse_percent(self) -> float:
        """By how much the error grows at the blur where it grows most; negative if it shrinks."""
        if self.plain_nmse_percent is None or self.refined_nmse_percent is None:
            return 0.0
        pairs = zip(self.refined_nmse_percent, self.plain_nmse_percent, strict=True)
        return max(100 * (refined / plain - 1) for refined, plain in pairs)


@dataclass(frozen=True)
class Images:
    """The plain and the refined image of a film, (``ZOOM`` Y, ``ZOOM`` X) float32."""

    plain: NDArray[np.float32]
    refined: NDArray[np.float32]
    refinement: dict[str, Any]


def images(frames_adu: NDArray[np.uint16], engine: Engine, model: str, refine: int | str) -> Images:
    """Reconstruct a film (T, Y, X) with a refinement, through the product's own path."""
    settings = Settings(model=model, zoom=ZOOM, refine=refine)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.tif"
        tifffile.imwrite(path, frames_adu, photometric="minisblack", metadata={"axes": "TYX"})
        with open_film(path) as opened:
            found = reconstruct(opened, engine, settings)
    if found.refinement is None:
        raise ValueError(f"{model} was not refined; expected an engine that states class borders")
    return Images(found.pixels.whole(), found.image, found.refinement.as_dict())


def outcome(film: TrueFilm, engine: Engine, model: str) -> Outcome:
    """Refine a film automatically and score both images."""
    found = images(film.frames_adu, engine, model, "auto")
    both = (found.plain, found.refined)
    plain, refined = (float(image.sum(dtype=np.float64)) for image in both)
    kept = refined / plain if plain else 1.0
    if not film.truth.any():
        return Outcome(film.name, plain, kept, found.refinement, None, None)
    errors = (score(image, film.truth).nmse_percent for image in both)
    return Outcome(film.name, plain, kept, found.refinement, *errors)
