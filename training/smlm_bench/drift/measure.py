"""What is left of a known drift, by each stage of the estimate, and what it does to images."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.drift.films import DriftingFilm
from smlm_bench.structures.reconstruction import ZOOM
from smlm_bench.structures.shape import FIELD_PX, PIXEL_SIZE_NM
from smlm_pipeline import contract
from smlm_pipeline.drift.correlation import segment_shifts
from smlm_pipeline.drift.points import Points, parts_of
from smlm_pipeline.drift.trace import SEGMENTS_MOST
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import Reconstruction, reconstruct
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.settings import MOLECULES_PROBABILITY, REFINE_OFF, Settings
from smlm_training.scoring.evaluate import score, truth_image

BLUR = 1
"""Index of the blur, of 1 SR pixel, at which errors are stated."""


@dataclass(frozen=True)
class Residual:
    """What is left of a film's drift.

    ``*_nm`` are root mean squares along an axis, about the mean: of the drift, of what is left
    after cross-correlation alone and after the whole estimate; ``error_nm`` is the estimate's own
    statement. The errors of the images are in percent, ``none`` without correction.
    """

    sample: str
    kind: str
    molecules: int
    per_frame: float
    corrected: bool
    drift_nm: float
    correlation_nm: float
    residual_nm: float
    error_nm: float
    nmse_before_percent: float
    nmse_after_percent: float
    ring_correlation_nm: float | None
    estimate_s: float
    run_s: float
    facts: dict[str, Any]


def residual(sample: str, kind: str, film: DriftingFilm, engine: Engine) -> Residual:
    """Reconstruct a film with ``--drift auto`` through the product's own path, and compare."""
    settings = Settings(zoom=ZOOM, refine=REFINE_OFF, drift="auto", resolution=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.tif"
        frames_adu = film.film.frames_adu
        tifffile.imwrite(path, frames_adu, photometric="minisblack", metadata={"axes": "TYX"})
        least = contract.MOLECULE_PROBABILITY_MIN
        with (
            open_film(path) as opened,
            MoleculeSink(path.with_suffix(".kept"), least, opened.corner) as molecules,
        ):
            started = time.perf_counter()
            found = reconstruct(
                opened, engine, settings, molecules=molecules, pixel_size_nm=PIXEL_SIZE_NM
            )
            run_s = time.perf_counter() - started
            points = _points(molecules)
    return _residual(sample, kind, film, found, points, run_s)


def _residual(
    sample: str,
    kind: str,
    film: DriftingFilm,
    found: Reconstruction,
    points: Points,
    run_s: float,
) -> Residual:
    """Put the numbers of a run together."""
    drift, resolution = found.drift, found.resolution
    if drift is None or resolution is None:
        raise ValueError("the run has no drift or resolution; expected both to be asked for")
    frames = np.arange(len(film.drift_nm))
    applied = drift.applied
    taken_nm = np.zeros((2, len(frames))) if applied is None else applied.at(frames)
    segments = parts_of(points, SEGMENTS_MOST)
    by_segments = [
        np.interp(frames, segments.centre_frame, axis)
        for axis in segment_shifts(points, segments).yx_nm
    ]
    truth = _truth(film)
    before, after = (
        score(image, truth).nmse_percent[BLUR] for image in (found.uncorrected.whole(), found.image)
    )
    facts = drift.as_dict()
    return Residual(
        sample=sample,
        kind=kind,
        molecules=len(points),
        per_frame=len(film.film.emitters.frame) / len(frames),
        corrected=applied is not None,
        drift_nm=_rms_nm(film.drift_nm.T),
        correlation_nm=_rms_nm(np.stack(by_segments) - film.drift_nm.T),
        residual_nm=_rms_nm(taken_nm - film.drift_nm.T),
        error_nm=float(facts.get("error_nm", np.nan)),
        nmse_before_percent=before,
        nmse_after_percent=after,
        ring_correlation_nm=resolution.as_dict()["ring_correlation_nm"],
        estimate_s=drift.elapsed_s,
        run_s=run_s,
        facts=facts,
    )


def _points(molecules: MoleculeSink) -> Points:
    blocks = list(molecules.blocks(PIXEL_SIZE_NM, probability_min=MOLECULES_PROBABILITY))
    frame = np.concatenate([rows["frame"] for rows in blocks])
    places = [np.stack([rows["y_nm"], rows["x_nm"]]) for rows in blocks]
    return Points(frame, np.concatenate(places, axis=1))


def _truth(film: DriftingFilm) -> NDArray[np.float64]:
    """The emitters at rest, counted on the SR grid."""
    molecules, edge = film.film.emitters.molecules(), FIELD_PX * ZOOM
    shape, pixel_nm = (edge, edge), PIXEL_SIZE_NM / ZOOM
    return truth_image(molecules.y_nm, molecules.x_nm, shape=shape, sr_pixel_size_nm=pixel_nm)


def _rms_nm(apart_nm: NDArray[np.float64]) -> float:
    return float(np.sqrt(apart_nm.var(axis=1).mean()))
