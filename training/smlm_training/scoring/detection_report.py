"""Score a network's localisations against the true emitters: errors, calibration, gridding."""

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
    """Rules of the comparison.

    Localisations from the probability ``threshold`` on count as found. Localisations and
    emitters nearer to an edge of the field than ``border_nm`` are left out.
    """

    threshold: float = THRESHOLD
    tolerance_nm: float = TOLERANCE_NM
    border_nm: float = 0.0


@dataclass(frozen=True)
class DetectionReport:
    """Scores, calibration and gridding of the localisations of one film."""

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
    """Score the localisations of a film.

    Parameters
    ----------
    candidates : Localisations
        From ``calibration.PROBABILITY_MIN`` or ``judging.threshold`` on, whichever is lower.
    true : Molecules
        The emitters of the same frames.
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
    candidates_inside, true_inside = (
        in_field(table, height_nm=height_nm, width_nm=width_nm, border_nm=judging.border_nm)
        for table in (candidates, true)
    )
    candidates, true = candidates.take(candidates_inside), true.take(true_inside)
    found = candidates.take(candidates.probability >= judging.threshold)
    return DetectionReport(
        judging,
        detection_score(found, true, judging.tolerance_nm),
        sigma_calibration(found, true, tolerance_nm=judging.tolerance_nm),
        probability_calibration(candidates, true, tolerance_nm=judging.tolerance_nm),
        pixel_distribution(found, pixel_size_nm=pixel_size_nm),
    )
