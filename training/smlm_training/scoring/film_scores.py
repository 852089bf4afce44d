"""Score a network on one simulated film: its image and its localisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.network import Network
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.localise import localise
from smlm_pipeline.localise.table import Molecules
from smlm_training.scoring.calibration import PROBABILITY_MIN
from smlm_training.scoring.detection_report import DetectionReport, Judging, detection_report
from smlm_training.scoring.evaluate import Score, score, truth_image, widefield_image
from smlm_training.scoring.inference import ZOOM, detect, draw
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.simulate import Film, joined


@dataclass(frozen=True)
class FilmScores:
    """Scores of the image, the wide field and the localisations.

    ``detections`` is None for a network that answers with maps.
    """

    image: Score
    widefield: Score
    detections: DetectionReport | None

    def as_dict(self) -> dict[str, Any]:
        """The numbers of a model card, rounded to the precision that a film gives."""
        scores = {
            "nmse_percent_at_blur_0_1_2_px": _rounded(self.image.nmse_percent),
            "nmse_fitted_percent": _rounded(self.image.nmse_fitted_percent),
            "widefield_nmse_percent": _rounded(self.widefield.nmse_percent),
            "emitters_found_over_true": round(self.image.sum_ratio, 4),
        }
        detections = self.detections
        if detections is None:
            return scores
        return {
            **scores,
            "jaccard": round(detections.score.jaccard, 4),
            "rmse_nm": round(detections.score.rmse_nm, 2),
            "error_over_predicted_sigma": round(detections.sigma.ratio, 3),
            "probability_expected_error": round(detections.probability.expected_error, 4),
            "positions_within_pixel_deviation_percent": round(
                detections.within_pixel.deviation_percent, 1
            ),
        }


def score_scene(network: Network, scene: Scene) -> FilmScores:
    """Film a scene, reconstruct it as the client does, and compare with the truth.

    Parameters
    ----------
    network : Network
        It answers with detections or with maps.
    scene : Scene
        Small enough for all its answers to fit into memory.
    """
    film = joined(list(scene.blocks()))
    true = _true_emitters(film, scene)
    truth = truth_image(
        true.y_nm,
        true.x_nm,
        shape=(scene.height_px * ZOOM, scene.width_px * ZOOM),
        sr_pixel_size_nm=scene.pixel_size_nm / ZOOM,
    )
    answers = detect(network, film.frames_adu)
    background_adu = float(np.median(prepared(film.frames_adu)[1][:, 0]))
    widefield = widefield_image(film.frames_adu, background_adu=background_adu, zoom=ZOOM)
    report = None if network.answer.makes_maps else _scored(answers, true, scene)
    return FilmScores(score(draw(answers), truth), score(widefield, truth), report)


def _scored(detections: NDArray[np.float32], true: Molecules, scene: Scene) -> DetectionReport:
    return detection_report(
        localise(detections, pixel_size_nm=scene.pixel_size_nm, threshold=PROBABILITY_MIN),
        true,
        shape_px=(scene.height_px, scene.width_px),
        pixel_size_nm=scene.pixel_size_nm,
        judging=Judging(),
    )


def _true_emitters(film: Film, scene: Scene) -> Molecules:
    """The emitters in the field, in nm."""
    frame, place = np.nonzero(film.emitters.inside(scene.height_px, scene.width_px))
    return Molecules(
        frame.astype(np.int64),
        film.emitters.y_px[frame, place] * scene.pixel_size_nm,
        film.emitters.x_px[frame, place] * scene.pixel_size_nm,
    )


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 2) for value in values]
