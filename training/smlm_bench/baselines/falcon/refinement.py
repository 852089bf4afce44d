"""FALCON's third step: from bright nodes to positions between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import correlate, maximum_filter

from smlm_bench.baselines.falcon.deconvolution import FAINTEST, FalconSettings, Floats, middle
from smlm_bench.baselines.falcon.patches import Nodes, Patches, Values, moved_to_nearest

_FURTHER = 1.6
"""By so much the best step along the gradient of positions is exceeded."""

_SHIFT_MAX, _WIDENING_MAX = 1.1, 0.30
_PHOTONS_MIN = 1.0


def peaks(nodes: Floats, settings: FalconSettings) -> Nodes:
    """Local maxima of the deconvolved nodes, as molecules on the finer grid.

    A maximum of its 3 x 3 surroundings above ``FAINTEST`` of the mean of the frames'
    brightest is a molecule, with the photons of all nine and their centre of mass.

    Parameters
    ----------
    nodes : ndarray, shape (N, coarse_zoom Y, coarse_zoom X), float32
        In photons.
    settings : FalconSettings
        Its two zooms.
    """
    threshold = FAINTEST * nodes.max(axis=(1, 2)).mean()
    highest = maximum_filter(nodes, (1, 3, 3), mode="constant")
    frame, row, column = np.nonzero((nodes == highest) & (nodes >= max(threshold, _PHOTONS_MIN)))
    ones, slope = np.ones(3), np.array([-1.0, 0.0, 1.0])
    kernels = (np.outer(ones, ones), np.outer(slope, ones), np.outer(ones, slope))
    photons, moment_y, moment_x = (
        correlate(nodes, kernel[None], mode="constant")[frame, row, column] for kernel in kernels
    )
    coarse, fine = settings.coarse_zoom, settings.fine_zoom
    y, x = (
        (place + moment / photons - middle(coarse)) / coarse * fine + middle(fine)
        for place, moment in ((row, moment_y), (column, moment_x))
    )
    node_y, node_x = (np.rint(each).astype(np.int64) for each in (y, x))
    nodes_found = Nodes(
        frame, node_y, node_x, y - node_y, x - node_x, np.zeros(len(frame)), photons.astype(float)
    )
    return moved_to_nearest(nodes_found)


def refine(nodes: Nodes, signal: Values, settings: FalconSettings, sigma_px: float) -> Nodes:
    """Fit y - b by sum of c (h - dy h_y - dx h_x - dz h_z): positions, photons, widths in turn.

    Parameters
    ----------
    nodes : Nodes
        Where to begin.
    signal : ndarray, shape (N, Y, X), float64
        Frames without background, in photons.
    settings : FalconSettings
        Its fine zoom and rounds.
    sigma_px : float
        Of the spot.
    """
    count, height, width = signal.shape
    shape = (count, height, width)
    for _ in range(settings.refine_rounds):
        patches = Patches(nodes, shape, zoom=settings.fine_zoom, sigma_px=sigma_px)
        nodes = moved_to_nearest(_shifted(nodes, patches, signal))
        patches = Patches(nodes, shape, zoom=settings.fine_zoom, sigma_px=sigma_px)
        nodes = _brightened(nodes, patches, signal)
        nodes = _widened(nodes, patches, signal)
    bright = nodes.photons > _PHOTONS_MIN
    return nodes.take(bright & (nodes.photons >= FAINTEST * _mean_brightest(nodes, len(signal))))


def position_px(node: Values, zoom: int) -> Values:
    """Where a place on the grid lies, in camera pixels from the corner of the first."""
    return (node - middle(zoom)) / zoom + 0.5


def _left(nodes: Nodes, patches: Patches, signal: Values) -> Values:
    """What the model leaves of the frames."""
    return signal - patches.added(nodes.photons[:, None, None] * patches.spots(nodes))


def _shifted(nodes: Nodes, patches: Patches, signal: Values) -> Nodes:
    left = _left(nodes, patches, signal)
    beneath = patches.gathered(left)
    photons = nodes.photons[:, None, None]
    down_y = -np.einsum("kij,kij->k", beneath, photons * patches.h_y)
    down_x = -np.einsum("kij,kij->k", beneath, photons * patches.h_x)
    change = -photons * (down_y[:, None, None] * patches.h_y + down_x[:, None, None] * patches.h_x)
    step = _FURTHER * patches.best_step(left, change)
    dy, dx = (
        np.clip(d + step * down, -_SHIFT_MAX, _SHIFT_MAX)
        for d, down in ((nodes.dy, down_y), (nodes.dx, down_x))
    )
    return replace(nodes, dy=dy, dx=dx)


def _brightened(nodes: Nodes, patches: Patches, signal: Values) -> Nodes:
    left = _left(nodes, patches, signal)
    spots = patches.spots(nodes)
    up = np.einsum("kij,kij->k", patches.gathered(left), spots)
    step = patches.best_step(left, up[:, None, None] * spots)
    return replace(nodes, photons=np.maximum(nodes.photons + step * up, _PHOTONS_MIN))


def _widened(nodes: Nodes, patches: Patches, signal: Values) -> Nodes:
    left = _left(nodes, patches, signal)
    slope = -nodes.photons[:, None, None] * patches.h_z
    up = np.einsum("kij,kij->k", patches.gathered(left), slope)
    step = patches.best_step(left, up[:, None, None] * slope)
    return replace(nodes, dz=np.clip(nodes.dz + step * up, -_WIDENING_MAX, _WIDENING_MAX))


def _mean_brightest(nodes: Nodes, frames: int) -> float:
    brightest = np.zeros(frames)
    np.maximum.at(brightest, nodes.frame, nodes.photons)
    return float(brightest.mean())
