"""Compare a network's predicted sigmas and probabilities with its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.localise.table import Localisations, Molecules
from smlm_training.scoring.pairing import pair

PROBABILITY_MIN = 0.05
"""Least probability of the localisations that probabilities are scored on."""

SIGMA_BINS = 10
PROBABILITY_BINS = 10


@dataclass(frozen=True)
class SigmaBin:
    """Errors of similar predicted sigmas: root mean squares of both, in nm."""

    errors: int
    sigma_nm: float
    error_nm: float


@dataclass(frozen=True)
class SigmaCalibration:
    """Predicted sigmas against true errors, along y and x taken together.

    Bins of equal counts after Levi et al., doi 10.3390/s22155540: where sigmas
    are calibrated, ``error_nm`` equals ``sigma_nm`` in every bin. ``ratio`` is the
    root mean square of all errors over that of all sigmas, ``z_rms`` the root mean
    square of error / sigma: above 1 the network is overconfident.
    ``within_1_sigma_percent`` and ``within_2_sigma_percent`` are the shares of the
    errors below one and two sigmas, for a normal distribution 68.3 and 95.4. All
    are NaN without errors.
    """

    bins: tuple[SigmaBin, ...]
    ratio: float
    z_rms: float
    within_1_sigma_percent: float
    within_2_sigma_percent: float


@dataclass(frozen=True)
class ProbabilityBin:
    """Localisations of similar probability: their mean probability, and the share that is true."""

    found: int
    probability: float
    frequency: float


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Probabilities against observed frequencies, in bins of equal width.

    ``expected_error`` is the mean of abs(frequency - probability) over all
    localisations, bin by bin (Guo et al., doi 10.48550/arXiv.1706.04599); NaN without any.
    """

    bins: tuple[ProbabilityBin, ...]
    expected_error: float


def sigma_calibration(
    found: Localisations, true: Molecules, *, tolerance_nm: float
) -> SigmaCalibration:
    """Compare sigmas with the errors of the localisations that have a true partner.

    Errors beyond ``tolerance_nm`` are not counted, since partners are at most that far
    apart; where emitters are dense, some partners are wrong.

    Parameters
    ----------
    found : Localisations
        With their predicted sigmas.
    true : Molecules
        All emitters of the same film.
    tolerance_nm : float
        Largest distance of a pair, as in ``pairing.pair``.
    """
    pairs = pair(found, true, tolerance_nm=tolerance_nm)
    error_nm = np.concatenate(
        [
            found.y_nm[pairs.found] - true.y_nm[pairs.true],
            found.x_nm[pairs.found] - true.x_nm[pairs.true],
        ]
    )
    sigma_nm = np.concatenate([found.sigma_y_nm[pairs.found], found.sigma_x_nm[pairs.found]])
    order = np.argsort(sigma_nm, kind="stable")
    parts = np.array_split(order, min(SIGMA_BINS, len(order))) if len(order) else []
    z = error_nm / sigma_nm
    return SigmaCalibration(
        tuple(SigmaBin(len(part), _rms(sigma_nm[part]), _rms(error_nm[part])) for part in parts),
        _rms(error_nm) / _rms(sigma_nm),
        _rms(z),
        _percent(np.abs(z) < 1),
        _percent(np.abs(z) < 2),
    )


def probability_calibration(
    found: Localisations, true: Molecules, *, tolerance_nm: float
) -> ProbabilityCalibration:
    """Compare probabilities with the share of the localisations that have a true partner.

    Where emitters are closer than the tolerance, some false localisations find a partner:
    the shares of low probabilities are then too high.

    Parameters
    ----------
    found : Localisations
        From a low threshold on, ``PROBABILITY_MIN`` or less, to include those of low
        probability.
    true : Molecules
        All emitters of the same film.
    tolerance_nm : float
        Largest distance of a pair, as in ``pairing.pair``.
    """
    paired = np.zeros(len(found.frame), bool)
    paired[pair(found, true, tolerance_nm=tolerance_nm).found] = True
    edges = np.linspace(0, 1, PROBABILITY_BINS + 1)[1:-1]
    number = np.digitize(found.probability, edges)
    bins = tuple(
        ProbabilityBin(
            int(part.sum()), float(found.probability[part].mean()), float(paired[part].mean())
        )
        for part in (number == index for index in range(PROBABILITY_BINS))
        if part.any()
    )
    difference = sum(part.found * abs(part.frequency - part.probability) for part in bins)
    error = difference / len(paired) if len(paired) else float("nan")
    return ProbabilityCalibration(bins, error)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def _percent(which: NDArray[np.bool_]) -> float:
    return float(100 * which.mean()) if len(which) else float("nan")
