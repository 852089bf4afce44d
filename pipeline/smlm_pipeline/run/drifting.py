"""The drift of a run: estimated from its molecules or read, and the sum drawn again without it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.window import class_limits_px2
from smlm_pipeline.drift.beside import side_by_side
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.estimate import MOLECULES_LEAST, MOLECULES_MOST, Estimate, estimate
from smlm_pipeline.drift.files import check_covers, read_drift
from smlm_pipeline.drift.points import Points, thinned
from smlm_pipeline.film.film import Film
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.settings import DRIFT_AUTO, MOLECULES_PROBABILITY, Settings


@dataclass(frozen=True)
class DriftCorrection:
    """The drift that was taken out of an image, and the facts of its making.

    ``accumulator`` has the sum without drift, and is None where nothing was corrected; ``drift``
    is what was taken out, or what was found and not taken out. ``estimate`` is None where the
    drift was read from a file, or could not be estimated.
    """

    asked: str
    drift: Drift | None
    accumulator: Accumulator | None
    estimate: Estimate | None
    frames: NDArray[np.int64]
    elapsed_s: float

    @property
    def applied(self) -> Drift | None:
        """The drift that was taken out, if any."""
        return self.drift if self.accumulator is not None else None

    def as_dict(self) -> dict[str, Any]:
        """The facts, for JSON."""
        facts: dict[str, Any] = {"asked": self.asked, "corrected": self.accumulator is not None}
        if self.drift is not None:
            drift_nm = self.drift.at(self.frames)
            for axis, values in zip("xy", drift_nm[::-1], strict=True):
                facts[f"range_{axis}_nm"] = round(float(np.ptp(values)), 2)
        if self.estimate is not None:
            facts["method"] = "cross-correlation of segments, then alignment of parts"
            facts |= self.estimate.as_dict()
        return {**facts, "elapsed_s": round(self.elapsed_s, 3)}

    @property
    def words(self) -> str:
        """What was done, in a sentence."""
        if self.drift is not None and self.accumulator is not None:
            y_nm, x_nm = (float(np.ptp(axis)) for axis in self.drift.at(self.frames))
            known = "" if self.estimate is None else f" (standard error {self._error})"
            return f"a drift of {x_nm:.1f} nm in x and {y_nm:.1f} nm in y{known} was taken out"
        if self.estimate is None:
            return (
                f"too few molecules or frames for --drift {DRIFT_AUTO} (expected "
                f"{MOLECULES_LEAST:,} molecules), so the image is not corrected"
            )
        return (
            f"two halves of the sample agree on no drift (standard error {self._error}), so the "
            "image is not corrected"
        )

    @property
    def notes(self) -> list[str]:
        """What the user should know of it: that nothing was taken out."""
        return [] if self.accumulator is not None else [self.words]

    @property
    def _error(self) -> str:
        return "unknown" if self.estimate is None else f"{self.estimate.error_nm:.1f} nm"


@dataclass(frozen=True)
class DriftAsked:
    """What to take out of a film: ``known`` is the drift of the user's file, if there is one.

    ``frames`` (F,) are those of the film and ``corner_px`` (2, 1) the place of its first pixel, as
    its file counts them.
    """

    name: str
    known: Drift | None
    frames: NDArray[np.int64]
    corner_px: NDArray[np.int64]
    pixel_size_nm: float


def drift_asked(film: Film, settings: Settings, pixel_size_nm: float | None) -> DriftAsked | None:
    """Read the user's drift, if there is a file; None where drift is not to be corrected.

    Raises
    ------
    SettingError
        If the file cannot be read, or lacks frames of the film.
    """
    if not settings.corrects_drift:
        return None
    corner, path = film.corner, settings.drift_file
    frames = np.asarray(corner.frames[: film.frame_count], np.int64)
    known = None if path is None else read_drift(path)
    if path is not None and known is not None:
        check_covers(path, known, int(frames[0]), int(frames[-1]))
    place_px = np.array([[corner.y_px], [corner.x_px]])
    pixel_nm = film.pixel_size(pixel_size_nm).nm
    return DriftAsked(settings.drift_name, known, frames, place_px, pixel_nm)


@dataclass(frozen=True)
class DriftFound:
    """The drift of a film: that of the user's file, or that of ``estimate``, if there is one."""

    drift: Drift | None
    estimate: Estimate | None
    elapsed_s: float

    @property
    def applies(self) -> bool:
        """Whether it is to be taken out."""
        return self.drift is not None and (self.estimate is None or self.estimate.found)


def drift_found(samples: Sequence[tuple[MoleculeSink, DriftAsked]]) -> DriftFound:
    """Find the drift that the molecules of one or more channels share.

    Parameters
    ----------
    samples : sequence
        The molecules of each channel, and what is asked of it.
    """
    started = time.perf_counter()
    known = samples[0][1].known
    if known is not None:
        return DriftFound(known, None, 0.0)
    count = sum(molecules.count(MOLECULES_PROBABILITY) for molecules, _ in samples)
    points = [_points(*sample, count) for sample in samples]
    corners_nm = [asked.corner_px * asked.pixel_size_nm for _, asked in samples]
    found = estimate(side_by_side(points, corners_nm))
    drift = None if found is None else found.drift
    return DriftFound(drift, found, time.perf_counter() - started)


def corrected(
    accumulator: Accumulator,
    molecules: MoleculeSink,
    asked: DriftAsked,
    found: DriftFound,
    plan: RunPlan,
    borders_px: Sequence[float],
) -> DriftCorrection:
    """Take the drift out of the sum of a run.

    Parameters
    ----------
    accumulator : Accumulator
        The sum of the run, which stays as it is.
    molecules : MoleculeSink
        All its molecules.
    asked : DriftAsked
        What was asked for.
    found : DriftFound
        The drift to take out.
    plan : RunPlan
        That of the run.
    borders_px : sequence of float
        Borders between the precision classes, in camera pixels.
    """
    started = time.perf_counter()
    redrawn = None
    if found.drift is not None and found.applies:
        redrawn, factor = accumulator.another(), _factor(accumulator, molecules)
        for rows in molecules.records():
            half = plan.half_of_frames(np.searchsorted(asked.frames, rows["frame"]))
            weight = rows["probability"] * factor
            places_px = _at_rest_px(rows, found.drift, asked)
            redrawn.draw(places_px, weight, half, _classes(rows, borders_px))
    elapsed_s = found.elapsed_s + time.perf_counter() - started
    return DriftCorrection(
        asked.name, found.drift, redrawn, found.estimate, asked.frames, elapsed_s
    )


def _factor(accumulator: Accumulator, molecules: MoleculeSink) -> np.float32:
    """What makes the sum of all molecules that of the plain image.

    Improbable molecules are not kept, and some detections are no part of one: together some
    percent.
    """
    sums = (float(rows["probability"].sum(dtype=np.float64)) for rows in molecules.records())
    return np.float32(accumulator.image().emitters() / (math.fsum(sums) or 1.0))


def _at_rest_px(rows: NDArray[Any], drift: Drift, asked: DriftAsked) -> NDArray[np.float64]:
    """Places (2, K) in the film without drift, in camera pixels."""
    places_px = np.stack([rows["y_px"], rows["x_px"]]) - asked.corner_px
    at_rest: NDArray[np.float64] = places_px - drift.at(rows["frame"]) / asked.pixel_size_nm
    return at_rest


def _points(molecules: MoleculeSink, asked: DriftAsked, count: int) -> Points:
    """The molecules that are more probable than not; of too many in all channels, some."""

    def blocks() -> Iterator[Points]:
        for rows in molecules.records():
            probable = rows[rows["probability"] >= np.float32(MOLECULES_PROBABILITY)]
            places_px = np.stack([probable["y_px"], probable["x_px"]])
            yield Points(probable["frame"].astype(np.int64), places_px * asked.pixel_size_nm)

    return thinned(blocks(), count, MOLECULES_MOST)


def _classes(rows: NDArray[Any], borders_px: Sequence[float]) -> NDArray[np.int64]:
    """The precision class of each molecule, as `compute.draw` chooses that of a detection."""
    borders = np.asarray(borders_px, np.float32)
    limits_px2 = class_limits_px2(borders, len(borders) + 1)
    spread_px2 = rows["sigma_y_px"] ** 2 + rows["sigma_x_px"] ** 2
    return np.searchsorted(limits_px2, spread_px2)
