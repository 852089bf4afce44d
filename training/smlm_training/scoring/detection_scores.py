"""Count the emitters that were found, and measure the errors of their positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smlm_pipeline.localise.table import Molecules
from smlm_training.scoring.pairing import pair

TOLERANCE_NM = 250.0
"""Largest distance of a molecule from its emitter, as in the SMLM 2016 challenge."""


@dataclass(frozen=True)
class DetectionScore:
    """Molecules found against emitters, after the SMLM 2016 challenge.

    Sage et al., doi 10.1038/s41592-019-0364-4: TP are pairs, FP molecules without a partner
    and FN emitters without one; each property states its formula. A score whose denominator
    is zero is NaN. Differences from the challenge: two dimensions only, no threshold on the
    true photons and no correction of a systematic shift ("wobble"). The challenge's border
    of 450 nm is the caller's task (`smlm_pipeline.localise.table.in_field`).

    ``pairs``, ``found`` and ``true`` are counts; ``rmse_nm`` is the root mean
    square of the pairs' distances in the plane.
    """

    pairs: int
    found: int
    true: int
    rmse_nm: float

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN)."""
        return _ratio(self.pairs, self.found + self.true - self.pairs)

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.pairs, self.found)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.pairs, self.true)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
        return _ratio(2 * self.pairs, self.found + self.true)

    @property
    def efficiency_percent(self) -> float:
        """100 - sqrt((100 - 100 Jaccard)^2 + (1 / nm RMSE)^2), the challenge's lateral one."""
        return 100 - float(np.hypot(100 - 100 * self.jaccard, self.rmse_nm))


def detection_score(
    found: Molecules, true: Molecules, tolerance_nm: float = TOLERANCE_NM
) -> DetectionScore:
    """Pair molecules with emitters (``pairing.pair``) and count.

    Parameters
    ----------
    found, true : Molecules
        Molecules and emitters of the same film.
    tolerance_nm : float
        Largest distance of a pair.

    Raises
    ------
    SettingError
        If the tolerance is not positive and finite.
    """
    pairs = pair(found, true, tolerance_nm=tolerance_nm)
    count = len(pairs.distance_nm)
    rmse_nm = float(np.sqrt(np.mean(pairs.distance_nm**2))) if count else float("nan")
    return DetectionScore(count, len(found.frame), len(true.frame), rmse_nm)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
