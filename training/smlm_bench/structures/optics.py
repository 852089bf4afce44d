"""Images of one molecule: Gaussian, and by scalar Fourier optics Airy, defocused, astigmatic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_bench.structures.shape import BORDER_PX, FIELD_PX, Points
from smlm_pipeline.errors import SettingError

PsfKind = Literal["gauss", "airy", "defocus", "astig"]

REACH_PX = 16
"""The image of a molecule is kept up to this distance along both axes."""

PHASES = 16
"""Places within a camera pixel at which images are tabulated; others are interpolated."""

PUPIL_SIGMAS = 0.21
"""Radius of the pupil in cycles a sigma: an Airy disk is about a Gaussian of 0.21 lambda / NA
(doi 10.1364/AO.46.001819)."""

_DOMAIN_PX = 64
_DEFOCUS_RAD = (0.0, 0.6, 1.2, 1.8, 2.4)
"""Phases at the edge of the pupil: the sample is up to about half a micrometre thick."""
_ASTIGMATISM_RAD = 1.0
_SPREADS = (0.95, 1.0, 1.05)


@dataclass(frozen=True)
class Optics:
    """Images of a molecule in several planes, or of several widths.

    ``tables`` (planes, PHASES + 1, PHASES + 1, S, S) float32 has, for each place within a pixel,
    the share of the light in each of S x S pixels around it.
    """

    tables: NDArray[np.float32]

    @property
    def planes(self) -> int:
        """Number of planes."""
        return len(self.tables)

    def images(self, place_px: Points, plane: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images (K, S, S) of molecules: shares of their light around their own pixel."""
        place = (place_px % 1) * PHASES
        low = np.minimum(place.astype(int), PHASES - 1)
        y, x = (place - low).astype(np.float32).T[:, :, None, None]
        rows, columns = low.T
        corner = {(i, j): self.tables[plane, rows + i, columns + j] for i in (0, 1) for j in (0, 1)}
        upper = corner[0, 0] * (1 - x) + corner[0, 1] * x
        lower = corner[1, 0] * (1 - x) + corner[1, 1] * x
        images: NDArray[np.float32] = upper * (1 - y) + lower * y
        return images

    def film(
        self,
        frame: NDArray[np.int64],
        place_px: Points,
        photons: NDArray[np.float64],
        plane: NDArray[np.int64],
        frames: int,
    ) -> NDArray[np.float32]:
        """Mean photons (T, Y, X) of all pixels of the field, without background."""
        margin = REACH_PX + BORDER_PX + 1
        edge = FIELD_PX + 2 * margin
        size = 2 * REACH_PX + 1
        light = np.zeros((frames, edge, edge), np.float32)
        corner = np.floor(place_px).astype(int) + margin - REACH_PX
        corner = np.clip(corner, 0, edge - size)
        for first in range(0, len(frame), _BLOCK):
            block = slice(first, first + _BLOCK)
            images = self.images(place_px[block], plane[block])
            images *= photons[block, None, None].astype(np.float32)
            rows = zip(frame[block].tolist(), corner[block].tolist(), images, strict=True)
            for at, (top, left), image in rows:
                light[at, top : top + size, left : left + size] += image
        return light[:, margin:-margin, margin:-margin]


_BLOCK = 512


def optics(kind: PsfKind, sigma_px: float) -> Optics:
    """Tabulate the images of a molecule.

    Parameters
    ----------
    kind : str
        ``gauss`` (widths vary by 5 %), ``airy`` (in focus), ``defocus`` (in and out of focus),
        ``astig`` (a weak cylindrical lens, above and below the focus).
    sigma_px : float
        Standard deviation of the Gaussian, or of that nearest to the Airy disk in focus.

    Raises
    ------
    SettingError
        If there is no such kind.
    """
    if kind not in get_args(PsfKind):
        raise SettingError(f"psf is {kind!r}; expected one of {', '.join(get_args(PsfKind))}")
    if kind == "gauss":
        fine = [_gaussian(sigma_px * spread) for spread in _SPREADS]
    elif kind == "airy":
        fine = [_diffracted(sigma_px, 0.0, 0.0)]
    elif kind == "defocus":
        fine = [_diffracted(sigma_px, defocus, 0.0) for defocus in _DEFOCUS_RAD]
    else:
        planes = (-_DEFOCUS_RAD[-2], -_DEFOCUS_RAD[1], _DEFOCUS_RAD[1], _DEFOCUS_RAD[-2])
        fine = [_diffracted(sigma_px, defocus, _ASTIGMATISM_RAD) for defocus in planes]
    return Optics(np.stack([_table(each) for each in fine]).astype(np.float32))


def gaussian(sigma_px: float) -> Optics:
    """Tabulate a Gaussian of one width, integrated over pixels (doi 10.1038/nmeth.1449)."""
    return Optics(_table(_gaussian(sigma_px))[None].astype(np.float32))


def _gaussian(sigma_px: float) -> NDArray[np.float64]:
    """Light in a pixel whose centre is at each point of the fine grid; the molecule is at 0."""
    centre = _fine_grid_px()
    share: NDArray[np.float64] = scipy.special.ndtr((centre + 0.5) / sigma_px) - scipy.special.ndtr(
        (centre - 0.5) / sigma_px
    )
    fine: NDArray[np.float64] = np.outer(share, share)
    return fine


def _diffracted(sigma_px: float, defocus_rad: float, astigmatism_rad: float) -> NDArray[np.float64]:
    """The same through a round pupil whose phase is that of a defocus and an astigmatism."""
    frequency = np.fft.fftfreq(_DOMAIN_PX * PHASES, 1 / PHASES)
    v, u = np.meshgrid(frequency, frequency, indexing="ij")
    rho2 = (u**2 + v**2) / (PUPIL_SIGMAS / sigma_px) ** 2
    astigmatic = (u**2 - v**2) / (PUPIL_SIGMAS / sigma_px) ** 2
    phase = defocus_rad * rho2 + astigmatism_rad * astigmatic
    field = np.fft.ifft2(np.where(rho2 <= 1, np.exp(1j * phase), 0))
    transfer = np.fft.fft2(np.abs(field) ** 2)
    transfer *= np.sinc(v) * np.sinc(u) / transfer[0, 0].real  # integrates over a pixel
    fine: NDArray[np.float64] = np.fft.fftshift(np.fft.ifft2(transfer).real) * PHASES**2
    return fine


def _fine_grid_px() -> NDArray[np.float64]:
    places: NDArray[np.float64] = (
        np.arange(_DOMAIN_PX * PHASES) - _DOMAIN_PX * PHASES // 2
    ) / PHASES
    return places


def _table(fine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images (PHASES + 1, PHASES + 1, S, S) for places from the corner of a pixel on."""
    middle = len(fine) // 2
    pixel = np.arange(-REACH_PX, REACH_PX + 1) * PHASES
    at = middle + PHASES // 2 + pixel[None, :] - np.arange(PHASES + 1)[:, None]
    images: NDArray[np.float64] = fine[at[:, None, :, None], at[None, :, None, :]]
    return images
