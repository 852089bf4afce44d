"""Images whose Fourier ring correlation is known: molecules at random, seen with known errors.

M molecules at random places are localised n times on average in each half, a Poisson number, with
Gaussian errors of sigma. At the frequency q the product of the halves is M n^2 g and the power of
each M (n + n^2 g), with g = exp(-4 pi^2 sigma^2 q^2), so their correlation is n g / (1 + n g). It
is 1/7 where n g is 1/6: at the length 2 pi sigma / sqrt(ln(6 n)). The pixels of the image add a
twelfth of their edge squared to the square of sigma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.run.resolving import resolution_of

PIXEL_NM, EDGE_PX, MOLECULES = 10.0, 1024, 4000

CASES = ((10.0, 3.0), (20.0, 1.0), (20.0, 3.0), (20.0, 20.0), (40.0, 10.0))
"""Sigma in nm, and localisations of a molecule in a half."""


@dataclass(frozen=True)
class KnownRing:
    """The resolution of an image by theory, and as it was measured, in nm."""

    sigma_nm: float
    localisations: float
    expected_nm: float
    found_nm: float
    quartiles_nm: tuple[float, ...]
    decorrelation_nm: float | None


def expected_nm(sigma_nm: float, localisations: float) -> float:
    """The length at which the correlation is 1/7."""
    seen_nm = np.sqrt(sigma_nm**2 + PIXEL_NM**2 / 12)
    return float(2 * np.pi * seen_nm / np.sqrt(np.log(6 * localisations)))


def halves(
    sigma_nm: float, localisations: float, seed: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The images of both halves, (``EDGE_PX``, ``EDGE_PX``) float32."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, EDGE_PX * PIXEL_NM, (2, MOLECULES))

    def half() -> NDArray[np.float32]:
        seen = np.repeat(places, rng.poisson(localisations, MOLECULES), axis=1)
        pixel = np.floor((seen + rng.normal(0, sigma_nm, seen.shape)) / PIXEL_NM).astype(int)
        image = np.zeros((EDGE_PX, EDGE_PX), np.float32)
        np.add.at(image, tuple(pixel % EDGE_PX), 1)
        return image

    return half(), half()


def measured_rings() -> list[KnownRing]:
    """Measure all ``CASES`` by the product's own functions."""
    found = []
    for sigma_nm, localisations in CASES:
        resolution = resolution_of(*halves(sigma_nm, localisations), PIXEL_NM)
        facts = resolution.as_dict()
        found.append(
            KnownRing(
                sigma_nm,
                localisations,
                expected_nm(sigma_nm, localisations),
                facts["ring_correlation_nm"],
                tuple(facts["tile_quartiles_nm"]),
                facts["decorrelation_nm"],
            )
        )
    return found
