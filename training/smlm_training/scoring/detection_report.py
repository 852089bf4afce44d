"""All that can be said of a network's molecules when the true ones are known."""

from __future__ import annotations

from dataclasses import dataclass

from smlm_pipeline.localise.localise import THRESHOLD
from smlm_pipeline.localise.table import Localisations, Molecules, in_field
from smlm_training.scoring.calibration import (
    ProbabilityCalibration,
    SigmaCalibration,
    probability_calibration,
    sigma_calibration,
)
from smlm_training.scoring.detection_scores import TOLERANCE_NM, DetectionScore, detection_score
from smlm_training.scoring.gridding import PixelDistribution, pixel_distribution


@dataclass(frozen=True)
class Judging:
    """How found and true molecules are compared; lengths as their names say.

    Molecules from the probability ``threshold`` on count as found. Those nearer
    to an edge of the field than ``border_nm``, found or true, are left out.
    """

    threshold: float = THRESHOLD
    tolerance_nm: float = TOLERANCE_NM
    border_nm: float = 0.0


@dataclass(frozen=True)
class DetectionReport:
    """Scores, calibration and gridding of the molecules found in one film."""

    judging: Judging
    score: DetectionScore
    sigma: SigmaCalibration
    probability: ProbabilityCalibration
    within_pixel: PixelDistribution


def detection_report(
    candidates: Localisations,
    true: Molecules,
    *,
    shape_px: tuple[int, int],
    pixel_size_nm: float,
    judging: Judging,
) -> DetectionReport:
    """Judge what a network found in a film.

    Parameters
    ----------
    candidates : Localisations
        Molecules from ``calibration.PROBABILITY_MIN`` and ``judging.threshold`` on,
        whichever is lower.
    true : Molecules
        The true molecules of the same frames.
    shape_px : tuple of int
        Height and width of the field.
    pixel_size_nm : float
        Edge of a camera pixel.
    judging : Judging
        Threshold, tolerance and border.

    Raises
    ------
    SettingError
        If the tolerance is not positive and finite.
    """
    height_nm, width_nm = (size_px * pixel_size_nm for size_px in shape_px)
    kept, present = (
        in_field(table, height_nm=height_nm, width_nm=width_nm, border_nm=judging.border_nm)
        for table in (candidates, true)
    )
    candidates = candidates.take(kept)
    real = true.take(present)
    found = candidates.take(candidates.probability >= judging.threshold)
    return DetectionReport(
        judging,
        detection_score(found, real, judging.tolerance_nm),
        sigma_calibration(found, real, tolerance_nm=judging.tolerance_nm),
        probability_calibration(candidates, real, tolerance_nm=judging.tolerance_nm),
        pixel_distribution(found, pixel_size_nm=pixel_size_nm),
    )
