"""How well a drift is known: by what two halves of the sample and the whole say of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Curves:
    """The drift of parts as smoothed curves, y and x in nm, and what the halves said before.

    ``whole_nm`` (2, P) is that of the whole sample, ``halves_nm`` (2, 2, P) that of each half, and
    ``raw_nm`` (2, 2, P) that of each half before its last smoothing.
    """

    whole_nm: NDArray[np.float64]
    halves_nm: NDArray[np.float64]
    raw_nm: NDArray[np.float64]

    def shared_nm2(self) -> float:
        """Mean square of the drift that both halves show, along an axis."""
        first, second = _about_mean(self.halves_nm)
        return float(np.mean(first * second))

    def noise_nm2(self, parts: NDArray[np.bool_] | None = None) -> float:
        """Mean square of the random error of the whole, along an axis, in some parts (P,).

        The whole is between two halves of equal and independent errors, as far from each as it is
        wrong. A half that lost its way where the other half did not says nothing of the whole.
        """
        some = slice(None) if parts is None else parts
        first, second = _about_mean(self.whole_nm - self.halves_nm)
        return float(np.abs(first * second)[:, some].mean())

    def error_nm2(self, at_step: NDArray[np.bool_]) -> float:
        """Mean square of the error of the whole about its mean, along an axis.

        Parameters
        ----------
        at_step : ndarray, shape (P,), bool
            Parts with a step that was found: the curve does not follow them.
        """
        kept = ~at_step
        smooth = kept[1:-1] & kept[:-2] & kept[2:]
        return self.noise_nm2(kept) + self._smoothed_away_nm2(kept) + self._between_nm2(smooth)

    def _smoothed_away_nm2(self, parts: NDArray[np.bool_]) -> float:
        """Mean square of the drift that was smoothed away: what both halves have lost alike."""
        first, second = _about_mean(self.halves_nm - self.raw_nm)
        return max(float(np.mean((first * second)[:, parts])), 0.0)

    def _between_nm2(self, parts: NDArray[np.bool_]) -> float:
        """Mean square of the drift within parts, of the inner ones (P - 2,) that are true.

        Where a drift is curved by c, its mean in a part of length T is c T^2 / 24 too high, and a
        line between two parts is c T^2 / 12 too high on average. c T^2 is the second difference.
        """
        first, second = np.diff(self.halves_nm, 2, axis=2)[:, :, parts]
        return max(float(np.mean(first * second)) / 8**2, 0.0) if parts.any() else 0.0


def _about_mean(halves_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = halves_nm - halves_nm.mean(axis=2, keepdims=True)
    return centred
