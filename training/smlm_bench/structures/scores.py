"""All scores of one film: the network's, and the ideal localiser's beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.beads import Halves, Image, modulation_percent
from smlm_bench.structures.films import SuiteFilm
from smlm_bench.structures.ideal import ideal_molecules
from smlm_bench.structures.reconstruction import ZOOM, Reconstructed
from smlm_bench.structures.shape import FIELD_PX, PIXEL_SIZE_NM
from smlm_pipeline.localise.localise import THRESHOLD
from smlm_pipeline.localise.table import Localisations, Molecules
from smlm_pipeline.resolution.correlation import pooled_sums, ring_correlation
from smlm_training.scoring.detection_report import Judging, detection_report
from smlm_training.scoring.evaluate import score, truth_image

SR_PIXEL_SIZE_NM = PIXEL_SIZE_NM / ZOOM

BLUR = 1
"""Films are ordered by the NMSE at a blur of one SR pixel."""


@dataclass(frozen=True)
class ImageScores:
    """Scores of an image: NMSE at blurs of 0, 1 and 2 SR pixels, resolution and beads.

    ``modulation_percent`` is None where the structure is nowhere straight, and of films in which
    molecules persist.
    """

    nmse_percent: tuple[float, ...]
    frc_nm: float
    modulation_percent: float | None


@dataclass(frozen=True)
class MoleculeScores:
    """Scores of molecules of probability 0.5 and more, and calibration.

    ``error_over_sigma`` is the root mean square of error / sigma, ``probability_error`` the mean
    of abs(probability - share that is true) over all of probability 0.1 and more.
    """

    jaccard: float
    rmse_nm: float
    error_over_sigma: float
    probability_error: float


@dataclass(frozen=True)
class FilmScores:
    """Scores of one film.

    ``sum_ratio`` is the sum of the image over the true number of emitters, ``emitters`` that
    number. ``molecules`` is None of a network that answers with maps.
    """

    image: ImageScores
    ideal: ImageScores
    sum_ratio: float
    emitters: int
    molecules: MoleculeScores | None

    @property
    def excess(self) -> float:
        """NMSE over that of the ideal localiser, at a blur of one SR pixel."""
        return self.image.nmse_percent[BLUR] / self.ideal.nmse_percent[BLUR]


def score_film(film: SuiteFilm, found: Reconstructed) -> FilmScores:
    """Score a reconstructed film.

    Parameters
    ----------
    film : SuiteFilm
        The film and its truth.
    found : Reconstructed
        What was made of it.
    """
    true = film.emitters.molecules()
    truth = drawn_halves(true, found.second_half)
    ideal = drawn_halves(ideal_molecules(film), found.second_half)
    followed = followed_structure(film)
    return FilmScores(
        _image_scores(found.halves, truth, followed),
        _image_scores(ideal, truth, followed),
        float(found.halves.whole.sum()) / len(true.frame),
        len(true.frame),
        None if found.molecules is None else _molecule_scores(found.molecules, true),
    )


def followed_structure(film: SuiteFilm) -> NDArray[np.bool_]:
    """Where beads of a film are measured, as `smlm_bench.structures.shape.Shape.along`.

    It is nowhere in a film of molecules that persist: both halves show the same ones, so chance
    would not cancel.
    """
    along = film.shape.along(ZOOM)
    return np.zeros_like(along) if film.line.on_frames else along


def drawn_halves(molecules: Molecules, second_half: NDArray[np.bool_]) -> Halves:
    """Molecules counted on the SR grid, those of the second half of a film apart."""
    second = second_half[molecules.frame]
    return Halves(_drawn(molecules.take(~second)), _drawn(molecules.take(second)))


def _drawn(molecules: Molecules) -> Image:
    edge = FIELD_PX * ZOOM
    return truth_image(
        molecules.y_nm, molecules.x_nm, shape=(edge, edge), sr_pixel_size_nm=SR_PIXEL_SIZE_NM
    )


def _image_scores(image: Halves, truth: Halves, followed: NDArray[np.bool_]) -> ImageScores:
    whole, true = image.whole, truth.whole
    modulation = modulation_percent(image, truth, followed, zoom=ZOOM)
    return ImageScores(
        score(whole, true).nmse_percent,
        resolution_nm(whole, true),
        modulation if np.isfinite(modulation) else None,
    )


def resolution_nm(image: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Length at which the ring correlation with the truth falls below 1/7, as users measure it.

    Both are (Y, X), in any units. The shortest length is two SR pixels, and infinite is that of
    images with nothing in common.
    """
    sums = pooled_sums(image.astype(np.float32), truth.astype(np.float32))
    return ring_correlation(sums, SR_PIXEL_SIZE_NM).resolution_nm


def _molecule_scores(found: Localisations, true: Molecules) -> MoleculeScores:
    report = detection_report(
        found,
        true,
        shape_px=(FIELD_PX, FIELD_PX),
        pixel_size_nm=PIXEL_SIZE_NM,
        judging=Judging(threshold=THRESHOLD),
    )
    return MoleculeScores(
        report.score.jaccard,
        report.score.rmse_nm,
        report.sigma.z_rms,
        report.probability.expected_error,
    )
