"""Molecules as patches of camera pixels: what a Taylor expansion of the spot makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_bench.baselines.falcon.deconvolution import middle

WIDENED = 0.15
"""Relative change of the spot's width, for its derivative."""

_STEP = 0.5
"""Of the finite differences, in nodes."""

_REACH_SIGMAS = 4.5

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Nodes:
    """Molecules at nodes of the fine grid, each array (K,).

    ``frame``, ``row`` and ``column`` are integers; ``dy`` and ``dx`` the distance from
    the node, in nodes; ``dz`` the relative excess of the spot's width; ``photons``.
    """

    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    dy: Values
    dx: Values
    dz: Values
    photons: Values

    def take(self, which: NDArray[np.bool_]) -> Nodes:
        """Those for which ``which`` (K,) is true."""
        return Nodes(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class Patches:
    """The spot of each node and its derivatives in the camera pixels around it.

    To the first order the spot of a molecule at (dy, dx) from its node is
    h - dy h_y - dx h_x - dz h_z, with h_y, h_x finite differences and h_z minus the
    derivative by the relative width.

    Parameters
    ----------
    nodes : Nodes
        Where the patches lie.
    shape : tuple of int
        N, Y, X of the block.
    zoom : int
        Nodes along a camera pixel.
    sigma_px : float
        Of the spot, in camera pixels.
    """

    def __init__(
        self, nodes: Nodes, shape: tuple[int, int, int], *, zoom: int, sigma_px: float
    ) -> None:
        self._frame = nodes.frame
        self._reach = int(np.ceil(_REACH_SIGMAS * sigma_px))
        count, height, width = shape
        self._padded = (count, height + 2 * self._reach, width + 2 * self._reach)
        pixel_y, y = self._profiles(nodes.row, zoom, sigma_px, self._padded[1])
        pixel_x, x = self._profiles(nodes.column, zoom, sigma_px, self._padded[2])
        index = (nodes.frame[:, None] * self._padded[1] + pixel_y)[:, :, None] * self._padded[2]
        self._index = (index + pixel_x[:, None, :]).ravel()
        self.h = _outer(y["here"], x["here"])
        self.h_y = _outer(y["slope"], x["here"])
        self.h_x = _outer(y["here"], x["slope"])
        self.h_z = (_outer(y["narrow"], x["narrow"]) - _outer(y["wide"], x["wide"])) / (2 * WIDENED)

    def spots(self, nodes: Nodes) -> Values:
        """The expansion for one photon (K, P, P)."""
        return self.h - _by(nodes.dy, self.h_y) - _by(nodes.dx, self.h_x) - _by(nodes.dz, self.h_z)

    def added(self, patches: Values) -> Values:
        """Patches (K, P, P) added up on the camera's frames (N, Y, X)."""
        size = int(np.prod(self._padded))
        frames: Values = np.bincount(self._index, patches.ravel(), size).astype(np.float64)
        reach = self._reach
        return frames.reshape(self._padded)[:, reach:-reach, reach:-reach]

    def gathered(self, frames: Values) -> Values:
        """The pixels of frames (N, Y, X) beneath each patch, (K, P, P); zero beyond the edges."""
        reach = self._reach
        padded = np.pad(frames, ((0, 0), (reach, reach), (reach, reach)))
        beneath: Values = padded.ravel()[self._index].reshape(self.h.shape)
        return beneath

    def best_step(self, frames: Values, change: Values) -> Values:
        """For each molecule its frame's t, which makes ||frames - t change||^2 least, (K,)."""
        moved = self.added(change)
        norm2 = np.einsum("nyx,nyx->n", moved, moved)
        gain = np.einsum("nyx,nyx->n", frames, moved)
        step: Values = np.where(norm2 > 0, gain / np.maximum(norm2, 1e-30), 0.0)
        return step[self._frame]

    def _profiles(
        self, node: NDArray[np.int64], zoom: int, sigma_px: float, padded: int
    ) -> tuple[NDArray[np.int64], dict[str, Values]]:
        """Padded pixels around a node along one axis, and the Gaussian's values there."""
        place_px = (node - middle(zoom)) / zoom  # 0 in the middle of the first camera pixel
        pixel = np.rint(place_px).astype(np.int64)[:, None] + np.arange(
            -self._reach, self._reach + 1
        )
        away_px = pixel - place_px[:, None]
        step_px = _STEP / zoom
        slope = _gaussian(away_px + step_px, sigma_px) - _gaussian(away_px - step_px, sigma_px)
        profiles = {
            "here": _gaussian(away_px, sigma_px),
            "slope": slope / (2 * _STEP),
            "wide": _gaussian(away_px, sigma_px * (1 + WIDENED)),
            "narrow": _gaussian(away_px, sigma_px * (1 - WIDENED)),
        }
        return np.clip(pixel + self._reach, 0, padded - 1), profiles


def moved_to_nearest(nodes: Nodes) -> Nodes:
    """Molecules that left their node's surroundings belong to the next; two on one node merge.

    A merged molecule has the mean of the distances and the sum of the photons.
    """
    over_y, over_x = (np.trunc(d / 0.99).astype(np.int64) for d in (nodes.dy, nodes.dx))
    row, column = nodes.row + over_y, nodes.column + over_x
    nodes = replace(nodes, row=row, column=column, dy=nodes.dy - over_y, dx=nodes.dx - over_x)
    key = np.stack([nodes.frame, nodes.row, nodes.column])
    places, group = np.unique(key, axis=1, return_inverse=True)
    group = group.ravel()
    count = np.bincount(group)
    dy, dx, dz = (np.bincount(group, each) / count for each in (nodes.dy, nodes.dx, nodes.dz))
    frame, row, column = places
    photons = np.bincount(group, nodes.photons).astype(np.float64)
    return Nodes(frame, row, column, dy, dx, dz, photons)


def _by(values: Values, patches: Values) -> Values:
    return values[:, None, None] * patches


def _outer(along_y: Values, along_x: Values) -> Values:
    return along_y[:, :, None] * along_x[:, None, :]


def _gaussian(away_px: Values, sigma_px: float) -> Values:
    density: Values = np.exp(-0.5 * (away_px / sigma_px) ** 2) / (np.sqrt(2 * np.pi) * sigma_px)
    return density
