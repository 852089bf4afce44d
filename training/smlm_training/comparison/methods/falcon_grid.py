"""The grid of FALCON's deconvolution: nodes between which the camera sees every zoom-th."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

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
