"""Brightness of a molecule in one frame, and width of its spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.blinks import frame_shares, share_moment
from smlm_training.simulation.bounds import check_one_of, check_within
from smlm_training.simulation.spot_shape import ROUND, SpotShape

PhotonDistribution = Literal["gamma", "lognormal", "uniform", "constant"]
SigmaDistribution = Literal["normal", "uniform"]

HALF_WIDTH = 3**0.5
"""Half the width of a uniform distribution, in its standard deviations."""

WIDTH_MAX_PX = 20.0
"""Largest mean sigma of a spot."""


@dataclass(frozen=True)
class Fluorophore:
    """Brightness of a molecule in one frame, and width of its spot.

    ``photons`` is the mean and ``photons_spread`` the relative standard deviation of
    the photons of one molecule in one frame, which follow ``photons_distribution``.
    ``sigma_px`` and ``sigma_spread`` are the same of the spot's standard deviation.
    A uniform distribution about a mean m with a relative spread s goes from
    m (1 - 3^0.5 s) to m (1 + 3^0.5 s); `uniform_moments` gives m and s of the ends that
    ThunderSTORM asks for (doi 10.1093/bioinformatics/btu202). A spread of 0 makes all
    molecules alike. ``shape`` says how spots differ from round Gaussians. Blinks last
    ``on_frames`` frames on average, and their first and last frames get a part of the light, of
    which ``photons`` is the whole; 0 stands for molecules that shine exactly one frame.
    """

    photons: float
    photons_spread: float
    sigma_px: float
    sigma_spread: float = 0.03
    photons_distribution: PhotonDistribution = "gamma"
    sigma_distribution: SigmaDistribution = "normal"
    shape: SpotShape = ROUND
    on_frames: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that are no distribution of positive numbers.

        Raises
        ------
        SettingError
            Naming the setting, its value and what was expected.
        """
        check_one_of(
            "photons distribution", self.photons_distribution, get_args(PhotonDistribution)
        )
        check_one_of("sigma distribution", self.sigma_distribution, get_args(SigmaDistribution))
        if self.photons_distribution == "constant" and self.photons_spread:
            raise SettingError(
                f"photons spread is {self.photons_spread!r} and their distribution constant; "
                "expected no spread, or another distribution"
            )
        widest = {"uniform": 1 / HALF_WIDTH}
        check_within("photons", self.photons, 1e-6, 1e6)
        largest = widest.get(self.photons_distribution, 3.0)
        name = f"photons spread ({self.photons_distribution})"
        check_within(name, self.photons_spread, 0.0, largest)
        check_within("sigma in pixels", self.sigma_px, 0.1, WIDTH_MAX_PX)
        check_within("sigma spread", self.sigma_spread, 0.0, 0.5)
        if self.on_frames:
            check_within("mean length of a blink in frames", self.on_frames, 0.1, 1e6)

    def draw_photons(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Photons of ``count`` molecules in a frame, shape (count,), float64."""
        whole = self._draw_whole(rng, count)
        if not self.on_frames:
            return whole
        shares, probabilities = frame_shares(self.on_frames)
        return whole * shares[np.searchsorted(np.cumsum(probabilities)[:-1], rng.random(count))]

    def _draw_whole(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Photons of ``count`` molecules that shine all of a frame."""
        mean, spread = self.photons, self.photons_spread
        if spread == 0:
            return np.full(count, float(mean))
        if self.photons_distribution == "lognormal":
            variance = np.log1p(spread**2)  # of the logarithm
            return rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), count)
        if self.photons_distribution == "uniform":
            return mean * (1 + HALF_WIDTH * spread * rng.uniform(-1, 1, count))
        shape = 1 / spread**2
        return rng.gamma(shape, mean / shape, count)

    @property
    def cube_over_square_photons(self) -> float:
        """E[I^3] / E[I^2] of the photons I in a frame: the brightness in a film's scale."""
        part = share_moment(self.on_frames, 3) / share_moment(self.on_frames, 2)
        return self._whole_cube_over_square * part

    @property
    def _whole_cube_over_square(self) -> float:
        square = self.photons_spread**2
        if self.photons_distribution == "lognormal":
            return self.photons * (1 + square) ** 2
        if self.photons_distribution == "uniform":
            return self.photons * (1 + 3 * square) / (1 + square)
        return self.photons * (1 + 2 * square)

    def draw_sigma_px(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Standard deviations of spots, of the given shape, float64, in camera pixels."""
        if self.sigma_distribution == "uniform":
            spread = 1 + HALF_WIDTH * self.sigma_spread * rng.uniform(-1, 1, shape)
        else:
            spread = np.clip(1 + self.sigma_spread * rng.standard_normal(shape), 0.7, 1.3)
        sigma_px: NDArray[np.float64] = self.sigma_px * spread
        return sigma_px


def uniform_moments(smallest: float, largest: float) -> tuple[float, float]:
    """Mean and relative standard deviation of a uniform distribution between two values."""
    mean = (smallest + largest) / 2
    return mean, (largest - smallest) / 2 / HALF_WIDTH / mean
