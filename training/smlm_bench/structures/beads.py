"""Beads: modulation of an image along a structure, with a period of one camera pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.shape import Shape

_ACROSS = 4
"""Parts of a camera pixel across the structure whose modulations are measured apart: beads may
lie at the middle of pixels for lines along their middle, and at their edges for others."""

Image = NDArray[np.float64]


@dataclass(frozen=True)
class Halves:
    """Two images (Y, X) of the same field, of independent frames."""

    first: Image
    second: Image

    @property
    def whole(self) -> Image:
        """Their sum."""
        return self.first + self.second


def modulation_percent(image: Halves, truth: Halves, shape: Shape, *, zoom: int) -> float:
    """Root mean square modulation that the image has along a structure and the truth has not.

    Where the structure runs along x, 2 F / S is the modulation, with F the sum of value times
    exp(2 pi i x), x in camera pixels, and S the sum of the values; along y likewise. That of the
    true emitters is subtracted, so neither the structure nor the chance of few emitters counts.
    The rest of both halves of the film is multiplied: what is left of chance differs between them
    and cancels. An image of lines that vary as 1 + m cos(2 pi x) has 100 m.

    Parameters
    ----------
    image, truth : Halves
        Of the same frames, on the SR grid.
    shape : Shape
        The structure.
    zoom : int
        SR pixels along a camera pixel.

    Returns
    -------
    float
        In percent; NaN if the structure is nowhere straight enough.
    """
    product, weight = 0.0, 0.0
    for axis, followed in enumerate(shape.along(zoom)):
        if not followed.any():
            continue
        group, wave = _groups_and_wave(followed, axis, zoom)
        excess = []
        for drawn, true in ((image.first, truth.first), (image.second, truth.second)):
            modulation, total = _modulations(drawn[followed], group, wave)
            excess.append(modulation - _modulations(true[followed], group, wave)[0])
        product += float((total * (excess[0] * np.conj(excess[1])).real).sum())
        weight += float(total.sum())
    return 100 * float(np.sqrt(max(product, 0) / weight)) if weight else float("nan")


def _groups_and_wave(
    followed: NDArray[np.bool_], axis: int, zoom: int
) -> tuple[NDArray[np.int64], NDArray[np.complex128]]:
    """Of each pixel that is followed: its part across the structure, and its wave along it."""
    within = (np.stack(np.nonzero(followed)) + 0.5) / zoom % 1
    group = np.floor(_ACROSS * within[1 - axis]).astype(np.int64)
    return group, np.exp(2j * np.pi * within[axis])


def _modulations(
    values: Image, group: NDArray[np.int64], wave: NDArray[np.complex128]
) -> tuple[NDArray[np.complex128], Image]:
    """Modulation of each group, as a complex number, and the sum of its values."""
    total = np.asarray(np.bincount(group, values, _ACROSS), np.float64)
    real, imaginary = (
        np.bincount(group, values * part, _ACROSS) for part in (wave.real, wave.imag)
    )
    return 2 * (real + 1j * imaginary) / np.maximum(total, 1e-12), total
