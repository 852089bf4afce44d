"""The camera's image of a fine grid, and its transpose, by Fourier transforms.

``A x = P_y x P_x^T``: a molecule in the middle of a SR pixel makes a Gaussian, which is
integrated over each camera pixel (doi 10.1038/nmeth.1449). Both axes are alike and wrap
around, so along each of them P is a convolution with g, every ``zoom``-th value of which is
kept. In Fourier space keeping every ``zoom``-th value folds the spectrum; as the spectrum of
g ends not far beyond the camera's own frequencies, only a part of it has to be folded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pywt
import scipy.fft
from numpy.typing import NDArray
from scipy.special import ndtr

from smlm_bench.method import BlockResult
from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.localise.table import stacked

_NEGLIGIBLE = 1e-8
"""Share of the largest value of the transfer function; float32 does not see less."""


Floats = NDArray[np.float32]


class Axis:
    """One axis: ``size_px`` camera pixels of ``zoom`` fine ones.

    ``norms`` (zoom,) are those of P's columns, which depend on the place within a
    camera pixel only.
    """

    def __init__(self, size_px: int, zoom: int, sigma_px: float) -> None:
        self._size, self._fine, self._zoom = size_px, size_px * zoom, zoom
        kernel = _kernel(size_px, zoom, sigma_px)
        places = (np.arange(size_px)[:, None] * zoom - np.arange(zoom)) % self._fine
        self.norms: NDArray[np.float64] = np.sqrt((kernel[places] ** 2).sum(axis=0))
        transfer = scipy.fft.rfft(kernel)
        transfer[np.abs(transfer) < _NEGLIGIBLE * np.abs(transfer).max()] = 0
        self._folds = _folds(transfer.astype(np.complex64), size_px, self._fine)
        # The transpose repeats the camera's spectrum: mirrored and conjugated where it is past
        # its middle, as that of every real signal.
        place = np.arange(len(transfer)) % size_px
        self._past_middle = place > size_px // 2
        self._repeated = np.where(self._past_middle, size_px - place, place)
        self._transposed = transfer.conj().astype(np.complex64)

    def shrink(self, fine: Floats) -> Floats:
        """(..., zoom Y) -> (..., Y): what the camera's pixels see of fine ones."""
        spectrum = scipy.fft.rfft(fine)
        folded = np.zeros((*fine.shape[:-1], self._size // 2 + 1), np.complex64)
        for source, mirrored, transfer in self._folds:
            values = spectrum[..., source]
            np.conjugate(values, where=mirrored, out=values)
            values *= transfer
            folded += values
        camera: Floats = scipy.fft.irfft(folded, self._size)
        camera /= np.float32(self._zoom)
        return camera

    def spread(self, camera: Floats) -> Floats:
        """(..., Y) -> (..., zoom Y): the transpose of `shrink`."""
        spectrum = scipy.fft.rfft(camera)[..., self._repeated]
        np.conjugate(spectrum, where=self._past_middle, out=spectrum)
        spectrum *= self._transposed
        fine: Floats = scipy.fft.irfft(spectrum, self._fine)
        return fine


class Imaging:
    """A and its transpose for a whole field.

    Parameters
    ----------
    shape_px : tuple of int
        Height and width of the camera's frames; they need not be alike.
    zoom : int
        SR pixels along a camera pixel.
    sigma_px : float
        Standard deviation of a spot before integration, in camera pixels.

    Attributes
    ----------
    lipschitz : float
        Largest eigenvalue of A^T A: zoom^2, reached where the grid is filled evenly.
    column_norms : ndarray, shape (zoom Y, zoom X), float32
        ||a_i||, of what a molecule of brightness 1 in each SR pixel makes.
    """

    def __init__(self, shape_px: tuple[int, int], zoom: int, sigma_px: float) -> None:
        self._y, self._x = (Axis(size, zoom, sigma_px) for size in shape_px)
        self.lipschitz = float(zoom**2)
        norms = np.outer(self._y.norms, self._x.norms)
        self.column_norms: Floats = np.tile(norms, shape_px).astype(np.float32)

    def forward(self, fine: Floats) -> Floats:
        """A x: (N, zoom Y, zoom X) -> (N, Y, X)."""
        narrow = self._x.shrink(fine)
        return self._y.shrink(narrow.swapaxes(1, 2)).swapaxes(1, 2)

    def transpose(self, camera: Floats) -> Floats:
        """A^T y: (N, Y, X) -> (N, zoom Y, zoom X)."""
        tall = self._y.spread(camera.swapaxes(1, 2)).swapaxes(1, 2)
        return self._x.spread(tall)


def _kernel(size_px: int, zoom: int, sigma_px: float) -> NDArray[np.float64]:
    """g: light of the middle of SR pixel k in the camera pixel that begins at m, for m - k."""
    fine, sigma = size_px * zoom, sigma_px * zoom
    wraps = int(np.ceil(10 * sigma / fine))
    apart = np.arange(-wraps * fine, (wraps + 1) * fine)
    share = ndtr((apart + zoom - 0.5) / sigma) - ndtr((apart - 0.5) / sigma)
    kernel: NDArray[np.float64] = share.reshape(-1, fine).sum(axis=0)
    return kernel


def _folds(
    transfer: NDArray[np.complex64], size: int, fine: int
) -> list[tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.complex64]]]:
    """What is added up for the camera's spectrum: where it comes from, mirrored or not, times g."""
    folds = []
    for first in range(0, fine, size):
        place = first + np.arange(size // 2 + 1)
        mirrored = place > fine // 2
        source = np.where(mirrored, fine - place, place)
        factor = np.where(mirrored, transfer[source].conj(), transfer[source])
        if factor.any():
            folds.append((source, mirrored, factor))
    return folds


PADDING_PX = 8
"""Rows and columns on each side, seven sigma of a usual spot: what lies at the opposite edge, and
the molecules outside that shine in, are seen in them and not in the field."""


def extended(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frames (N, Y, X), with the pixels of their edges repeated ``PADDING_PX`` times."""
    around = (PADDING_PX, PADDING_PX)
    return np.pad(frames, ((0, 0), around, around), mode="edge")


def extended_shape(shape_px: tuple[int, int]) -> tuple[int, int]:
    """Height and width of frames that are extended."""
    height, width = shape_px
    return height + 2 * PADDING_PX, width + 2 * PADDING_PX


_Value = TypeVar("_Value", bound=np.generic)


def side_by_side(
    reconstruct: Callable[[NDArray[_Value]], BlockResult],
    frames: NDArray[_Value],
    share_frames: int | None = None,
) -> BlockResult:
    """What a method finds in frames (N, Y, X), ``share_frames`` at once in each thread.

    Without ``share_frames`` every thread gets as many. What is found does not depend on the
    threads where frames of different shares know nothing of each other.
    """
    share = share_frames or -(-len(frames) // available_cpus())
    starts = range(0, len(frames), share)
    with ThreadPoolExecutor(available_cpus()) as pool:
        parts = list(pool.map(lambda first: reconstruct(frames[first : first + share]), starts))
    molecules = [
        part.molecules.later(first)
        for part, first in zip(parts, starts, strict=True)
        if part.molecules is not None
    ]
    return BlockResult(np.sum([part.image for part in parts], axis=0), stacked(molecules))


WAVELET, LEVEL = "db6", 5


ROUNDS = 5


def wavelet_background(photons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Background of each frame, from the frames themselves or from what a model leaves of them.

    The block is cut at twice its median. Then, five times over, a frame's coarse
    wavelet coefficients give b, and pixels above b + sqrt(abs(x)) / 2 are cut down
    to that, so that molecules are taken out of what the next b is made from
    (Min et al., doi 10.1038/srep04577).

    Parameters
    ----------
    photons : ndarray, shape (N, Y, X), float64
        A block of frames.

    Returns
    -------
    ndarray, shape (N, Y, X), float64
        Photons of each pixel.
    """
    left = np.minimum(photons, 2 * max(float(np.median(photons)), 0.0))
    background = left
    for _ in range(ROUNDS):
        background = _coarse(left)
        left = np.minimum(left, background + np.sqrt(np.abs(left)) / 2)
    return background


def _coarse(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frames rebuilt from their approximation coefficients alone."""
    with warnings.catch_warnings():
        # Frames of 64 pixels are smaller than what the published level asks for; the
        # transform mirrors them at their edges then, and says so.
        warnings.filterwarnings("ignore", message="Level value of")
        coefficients = pywt.wavedec2(frames, WAVELET, level=LEVEL, axes=(-2, -1))
    zeros = [tuple(np.zeros_like(part) for part in detail) for detail in coefficients[1:]]
    rebuilt = pywt.waverec2([coefficients[0], *zeros], WAVELET, axes=(-2, -1))
    height, width = frames.shape[1:]
    background: NDArray[np.float64] = rebuilt[:, :height, :width]
    return background
