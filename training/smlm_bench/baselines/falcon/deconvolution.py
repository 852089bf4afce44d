"""FALCON's first two steps: sparse deconvolution, then brightness on the support it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from smlm_bench.baselines.imaging import wavelet_background

Floats = NDArray[np.float32]


class Grid:
    """Nodes of a field that wraps around, and their image, ``D (h * c)``.

    h is a Gaussian sampled at the nodes with the sum zoom^2, and D keeps the node in
    the middle of each camera pixel, the first of the two middle ones if there are two.

    Parameters
    ----------
    shape_px : tuple of int
        Height and width in camera pixels.
    zoom : int
        Nodes along a camera pixel.
    sigma_px : float
        Standard deviation of the Gaussian, in camera pixels.
    """

    def __init__(self, shape_px: tuple[int, int], zoom: int, sigma_px: float) -> None:
        self.zoom = zoom
        self.shape = (shape_px[0] * zoom, shape_px[1] * zoom)
        self._middle = middle(zoom)
        gaussian = np.outer(*(_gaussian(size, sigma_px * zoom) for size in self.shape))
        # h is even, so its transform is real.
        self._transfer = scipy.fft.rfft2(gaussian * zoom**2).real.astype(np.float32)

    def image(self, nodes: Floats) -> Floats:
        """What the camera sees of nodes: (N, zoom Y, zoom X) -> (N, Y, X)."""
        spectrum = scipy.fft.rfft2(nodes) * self._transfer
        seen: Floats = scipy.fft.irfft2(spectrum, self.shape)
        return seen[:, self._middle :: self.zoom, self._middle :: self.zoom]

    def projected(self, frames: Floats) -> NDArray[np.complex64]:
        """Spectrum of h^T D^T y."""
        nodes = np.zeros((len(frames), *self.shape), np.float32)
        nodes[:, self._middle :: self.zoom, self._middle :: self.zoom] = frames
        spectrum: NDArray[np.complex64] = scipy.fft.rfft2(nodes)
        return spectrum * self._transfer

    def solved(
        self, projected: NDArray[np.complex64], split: Floats, coupling: np.float32
    ) -> Floats:
        """The c of an ADMM round: F^-1[(F(h^T D^T y) + mu F(v + d)) / (|h^|^2 / zoom^2 + mu)].

        D^T D, which would mix frequencies, is replaced by its mean, 1 / zoom^2.
        """
        spectrum = scipy.fft.rfft2(split)
        spectrum *= coupling
        spectrum += projected
        spectrum /= self._transfer**2 / np.float32(self.zoom**2) + coupling
        solved: Floats = scipy.fft.irfft2(spectrum, self.shape)
        return solved


def middle(zoom: int) -> int:
    """Index of the node within a camera pixel that the camera samples."""
    return (zoom + 1) // 2 - 1


def _gaussian(size: int, sigma: float) -> NDArray[np.float64]:
    """A Gaussian around index 0 of an axis that wraps around, with the sum 1."""
    apart = np.minimum(np.arange(size), size - np.arange(size))
    values = np.exp(-(apart**2) / (2 * sigma**2))
    gaussian: NDArray[np.float64] = values / values.sum()
    return gaussian


BLOCK_FRAMES = 20
"""Frames that share their thresholds."""


EM_LOSS = 1.4
"""Square root of an EMCCD's excess noise, as FALCON has it: its photons are divided by it."""


FAINTEST = 0.05
"""Of the mean over frames of a frame's brightest: what is below is no molecule."""


@dataclass(frozen=True)
class FalconSettings:
    """One parameter set.

    Attributes
    ----------
    coarse_zoom, fine_zoom : int
        Nodes along a camera pixel, in the deconvolution and in the refinement.
    sparse_rounds, support_rounds, refine_rounds : int
        Iterations of the three steps.
    background_every, support_background_every : int
        Rounds between two estimates of the background, in the first two steps.
    background_from : int
        First round of the sparse step in which it is estimated again.
    sparsity : float
        Weight of the l1 term, over the noise; raised where too many are found.
    coupling : float
        mu of the ADMM.
    """

    coarse_zoom: int
    fine_zoom: int
    sparse_rounds: int
    support_rounds: int
    refine_rounds: int
    background_every: int
    support_background_every: int
    background_from: int
    sparsity: float = 1.5
    coupling: float = 0.05


SPEEDS = {
    "fast": FalconSettings(2, 3, 300, 80, 25, 50, 40, 150),
    "normal": FalconSettings(3, 3, 500, 140, 20, 100, 70, 300),
    "slow": FalconSettings(3, 5, 600, 140, 30, 100, 70, 300),
}
"""By the names of the authors' release."""


_DARKEST_SHARE = 0.02
"""Of the brightest pixel: least background in the weight of the l1 term."""


@dataclass(frozen=True)
class Deconvolved:
    """``nodes`` (N, zoom Y, zoom X) and ``background`` (N, Y, X), float32, in photons."""

    nodes: Floats
    background: Floats


def deconvolve(photons: Floats, grid: Grid, settings: FalconSettings) -> Deconvolved:
    """Minimise 1/2 ||y - b - D (h * c)||^2 + sum w c over c >= 0 by ADMM, twice.

    With w = sparsity sqrt(max(b, 0.02 max y)) first; then without it, on the nodes
    that came out brighter than ``FAINTEST`` of the mean of the frames' brightest. In
    between, b is estimated again from what the model leaves.

    Parameters
    ----------
    photons : ndarray, shape (N, Y, X), float32
        A block of frames.
    grid : Grid
        Of ``settings.coarse_zoom``.
    settings : FalconSettings
        The parameter set.
    """
    background = wavelet_background(photons.astype(np.float64)).astype(np.float32)
    floor = np.maximum(background, _DARKEST_SHARE * photons.max())
    weight = settings.sparsity * np.sqrt(floor.repeat(grid.zoom, 1).repeat(grid.zoom, 2))
    schedule = [
        count
        for count in range(settings.background_from, settings.sparse_rounds)
        if count % settings.background_every == 0
    ]
    start = Deconvolved(np.zeros((len(photons), *grid.shape), np.float32), background)
    shrinkage = weight / np.float32(settings.coupling)
    sparse = _rounds(photons, grid, start, shrinkage, settings, settings.sparse_rounds, schedule)
    support = sparse.nodes > FAINTEST * sparse.nodes.max(axis=(1, 2)).mean()
    schedule = list(
        range(
            settings.support_background_every,
            settings.support_rounds,
            settings.support_background_every,
        )
    )
    closed = np.where(support, np.float32(0), np.float32(np.inf))
    return _rounds(photons, grid, sparse, closed, settings, settings.support_rounds, schedule)


def _rounds(
    photons: Floats,
    grid: Grid,
    start: Deconvolved,
    shrinkage: NDArray[np.float32],
    settings: FalconSettings,
    rounds: int,
    schedule: list[int],
) -> Deconvolved:
    """ADMM: c by Fourier transform, v = max(c - d - shrinkage, 0), d = d + v - c.

    ``shrinkage`` is w / mu; it is infinite where nothing may be.
    """
    coupling = np.float32(settings.coupling)
    background = start.background
    projected = grid.projected(photons - background)
    v = start.nodes
    d = np.zeros_like(v)
    for count in range(rounds):
        c = grid.solved(projected, v + d, coupling)
        v = np.maximum(c - d - shrinkage, 0)
        d += v
        d -= c
        if count in schedule:
            left = (photons - grid.image(v)).astype(np.float64)
            background = wavelet_background(left).astype(np.float32)
            projected = grid.projected(photons - background)
    return Deconvolved(v, background)
