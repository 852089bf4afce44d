"""How far the product's registration of two channels is from the truth."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.channels.films import PIXEL_NM, Geometry, Sample, bead_film, two_channel_film
from smlm_pipeline.channels.run import run_channels
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.film.selection import SPLITS
from smlm_pipeline.job import Job
from smlm_pipeline.registration.affine import Affine
from smlm_pipeline.settings import REFINE_OFF, Settings

EDGE_PX = 64
"""Edge of a channel of the films."""

_GRID = 9


@dataclass(frozen=True)
class Case:
    """A film of two channels, and what registers them: ``beads``, or the images."""

    sample: Sample
    split: str
    geometry: Geometry
    by_beads: bool = False
    seed: int = 1


COMMON = Sample("the same curves", 1.0)
PARTLY = Sample("30 % of the molecules on the same curves", 0.3)
APART = Sample("unlike curves", 0.0)

_SHIFTED, _TURNED = Geometry((2.3, -3.6)), Geometry((2.3, -3.6), 1.0, 1.01)
_FAR = Geometry((-9.7, 6.2))

CASES = (
    *(Case(COMMON, split, _SHIFTED) for split in SPLITS),
    Case(COMMON, "left,right", _FAR, seed=3),
    Case(replace(COMMON, name="the same curves, 60 frames", frames=60), "left,right", _SHIFTED),
    Case(PARTLY, "left,right", _SHIFTED),
    Case(PARTLY, "left,right", _FAR, seed=3),
    *(Case(APART, split, _SHIFTED, seed=seed) for seed, split in enumerate(SPLITS)),
    Case(COMMON, "top,bottom", _TURNED),
    *(Case(APART, split, _TURNED, by_beads=True, seed=seed) for seed, split in enumerate(SPLITS)),
)
"""Films that are measured: shifted, shifted far, and turned by a degree and scaled by 1 %."""


@dataclass(frozen=True)
class Registered:
    """How one film was registered.

    ``residual_nm`` is the root mean square along an axis, over the field, of what is left of the
    channels' displacement, and ``worst_nm`` the largest; None where it was not registered.
    ``before_nm`` is the root mean square without registration, ``error_nm`` what the product
    states, and ``warned`` whether it warns that a shift is not all.
    """

    sample: str
    split: str
    turned_deg: float
    scaled_percent: float
    method: str
    before_nm: float
    residual_nm: float | None
    worst_nm: float | None
    error_nm: float | None
    warned: bool
    facts: dict[str, Any]


def registered(case: Case, engine: Engine, model: str) -> Registered:
    """Reconstruct the film of a case, and compare the registration with the truth."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = two_channel_film(
            case.sample, case.split, case.geometry, edge_px=EDGE_PX, seed=case.seed
        )
        tifffile.imwrite(folder / "film.tif", film, photometric="minisblack")
        beads = None
        if case.by_beads:
            beads = folder / "beads.tif"
            frames = bead_film(case.split, case.geometry, edge_px=EDGE_PX)
            tifffile.imwrite(beads, frames, photometric="minisblack")
        channels = Channels(case.split, ("one", "two"), beads)
        files = folder / "film.tif", folder / "image.ome.tif"
        job = Job(*files, Settings(model=model, refine=REFINE_OFF), PIXEL_NM, channels=channels)
        report = run_channels(job, engine)
    facts = report.registration
    return _compared(case, facts, warned=any("turned or scaled" in note for note in report.notes))


def _compared(case: Case, facts: dict[str, Any], *, warned: bool) -> Registered:
    places_nm = np.linspace(0, EDGE_PX * PIXEL_NM, _GRID)
    grid_nm = np.stack(np.meshgrid(places_nm, places_nm, indexing="ij")).reshape(2, -1)
    truth_nm = case.geometry.affine(EDGE_PX, EDGE_PX).at(grid_nm)
    found = _affine(facts)
    left_nm = None if found is None else found.at(grid_nm) - truth_nm
    return Registered(
        sample=case.sample.name,
        split=case.split,
        turned_deg=case.geometry.turned_deg,
        scaled_percent=round(100 * (case.geometry.magnification - 1), 6),
        method=facts["method"],
        before_nm=_rms(grid_nm - truth_nm),
        residual_nm=None if left_nm is None else _rms(left_nm),
        worst_nm=None if left_nm is None else float(np.hypot(*left_nm).max()),
        error_nm=facts.get("error_nm"),
        warned=warned,
        facts=facts,
    )


def _affine(facts: dict[str, Any]) -> Affine | None:
    """The map that a report states."""
    if facts["method"] == "none":
        return None
    if facts["model"] == "shift":
        return Affine(np.eye(2), np.array([facts["shift_y_nm"], facts["shift_x_nm"]]))
    return Affine(np.array(facts["matrix_yx"]), np.array(facts["offset_yx_nm"]))


def _rms(apart_nm: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(apart_nm**2)))
