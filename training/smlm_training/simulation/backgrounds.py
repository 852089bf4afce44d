"""Background light: flat, graded or patchy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_training.simulation.bounds import check_one_of, check_within
from smlm_training.simulation.samples import Field

BackgroundKind = Literal["flat", "graded", "patchy"]


@dataclass(frozen=True)
class Background:
    """Mean photons of a pixel, and how they vary across the field.

    ``graded`` rises evenly in a random direction, from (1 - ``variation``) times the
    mean in one corner to (1 + ``variation``) times in the opposite one. ``patchy`` is
    the exponential of smoothed noise, so it is positive everywhere: ``variation`` is
    the standard deviation of its logarithm and ``patch_nm`` that of the Gaussian which
    smooths it, about the radius of a patch. The mean over the field is always
    ``photons``.
    """

    photons: float = 20.0
    kind: BackgroundKind = "flat"
    variation: float = 0.5
    patch_nm: float = 800.0

    def __post_init__(self) -> None:
        """Refuse a background that would be negative.

        Raises
        ------
        SettingError
            Naming the setting, its value and what was expected.
        """
        check_within("background in photons", self.photons, 0.0, 1e5)
        check_one_of("background kind", self.kind, get_args(BackgroundKind))
        check_within("background variation", self.variation, 0.0, 1.0)
        check_within("radius of background patches in nm", self.patch_nm, 50.0, 1e6)

    def expected_photons(self, rng: np.random.Generator, field: Field) -> NDArray[np.float64]:
        """Mean photons of every pixel, shape (height_px, width_px), float64."""
        shape = (field.height_px, field.width_px)
        if self.kind == "graded":
            graded: NDArray[np.float64] = self.photons * (1 + self.variation * _slope(rng, shape))
            return graded
        if self.kind == "patchy":
            noise = rng.standard_normal(shape)
            # wrapped: mirrored noise would make the corners vary twice as much as the middle
            smooth = scipy.ndimage.gaussian_filter(noise, field.px(self.patch_nm), mode="wrap")
            patches = np.exp(self.variation * (smooth - smooth.mean()) / smooth.std())
            patchy: NDArray[np.float64] = self.photons * patches / patches.mean()
            return patchy
        return np.full(shape, float(self.photons))


def _slope(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A plane with a mean of 0, from -1 in one corner to 1 in the opposite one."""
    y, x = (np.linspace(-1, 1, size) for size in shape)
    angle = rng.uniform(0, 2 * np.pi)
    plane = np.sin(angle) * y[:, None] + np.cos(angle) * x
    slope: NDArray[np.float64] = plane / np.abs(plane).max()
    return slope
