"""FALCON's first two steps: sparse deconvolution, then brightness on the support it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_training.comparison.methods.falcon_grid import Floats, Grid
from smlm_training.comparison.methods.falcon_settings import FAINTEST, FalconSettings
from smlm_training.comparison.methods.wavelet_background import wavelet_background

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
    between, b is estimated anew from what the model leaves.

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
