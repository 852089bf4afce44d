"""A step over a whole image, a band of rows at a time: memory does not grow with the image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.refine.em import Each, log_likelihoods, spread, step
from smlm_pipeline.refine.gaussian import mirrored

BAND_PIXELS = 1 << 17
"""SR pixels of a band: the arrays of a step take some 40 times as many bytes."""


class Image(Protocol):
    """An image that is read by rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, in SR pixels."""
        ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        ...


class Density(Protocol):
    """A density of molecules, float32, that is read and written by rows."""

    shape: tuple[int, int]

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Rows ``first`` to ``last - 1``."""
        ...

    def put(self, first: int, sums: NDArray[Any], /) -> None:
        """Replace the rows from ``first`` on."""
        ...


def advance(
    density: Density,
    classes: Sequence[Image],
    kernels: Sequence[NDArray[np.float32]],
    *,
    held_out: Sequence[Image] = (),
    molecules: float = 1.0,
    each: Each = map,
) -> float:
    """Take a step of a density in place, and foretell detections by the density before it.

    Every SR pixel is computed by the same operations however the image is cut, so bands do not
    change a bit.

    Parameters
    ----------
    density : Density
        Molecules per SR pixel.
    classes : sequence of Image
        Detections of each precision class, of the same shape.
    kernels : sequence of ndarray, shape (r + 1,), float32
        The errors of each class; see `gaussian.half_kernel`.
    held_out : sequence of Image
        Detections of each class in other frames.
    molecules : float
        The sum of the density.
    each : callable
        `map`, or that of an executor whose threads share the classes.

    Returns
    -------
    float
        The log-likelihood of the held-out detections before the step, in nats; 0 without them.
    """
    height, width = density.shape
    radius = max(len(kernel) for kernel in kernels) - 1
    likelihoods: list[float] = []
    for first, last, before in _with_neighbours(density, 2 * radius):
        rows = last - first
        expected = _expected(before, rows + 2 * radius, kernels, each)
        detected = [_mirrored_rows(image, first - radius, last + radius) for image in classes]
        old = before[2 * radius : 2 * radius + rows]
        density.put(first, old * step(expected, detected, kernels, rows, each))
        if len(held_out):
            others = [image[first:last] for image in held_out]
            inner = [part[radius : radius + rows] for part in expected]
            likelihoods += log_likelihoods(inner, others, molecules, height * width)
    return math.fsum(likelihoods)


def smooth(density: Density, kernel: NDArray[np.float32], shown: Image) -> None:
    """Filter a density in place, and clear it where there is no picture.

    Parameters
    ----------
    density : Density
        Molecules per SR pixel.
    kernel : ndarray, shape (r + 1,), float32
        Of `gaussian.half_kernel`.
    shown : Image
        1 where molecules may be, 0 where there is no picture.
    """
    for first, last, before in _with_neighbours(density, len(kernel) - 1):
        density.put(first, spread(before, kernel, last - first) * shown[first:last])


def bands(shape: tuple[int, int], rows_least: int = 1) -> Iterator[tuple[int, int]]:
    """First and last row (excluded) of each band of an image."""
    height, width = shape
    rows = max(BAND_PIXELS // width, rows_least)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _with_neighbours(
    density: Density, reach: int
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Bands of a density that is replaced band by band, with ``reach`` more rows at both ends.

    First and last row (excluded) of each band, and its rows and neighbours as they were before any
    band was replaced; mirror images continue the density.
    """
    height, width = density.shape
    above = np.zeros((0, width), np.float32)
    for first, last in bands(density.shape, reach):
        top = first - len(above)
        before = np.concatenate([above, density.rows(first, min(last + reach, height))])
        above = before[max(last - reach - top, 0) : last - top].copy()
        yield first, last, before[mirrored(first - reach, last + reach, height) - top]


def _expected(
    before: NDArray[np.float32],
    rows: int,
    kernels: Sequence[NDArray[np.float32]],
    each: Each,
) -> list[NDArray[np.float32]]:
    """K_c f on the middle ``rows`` of some."""
    return list(each(lambda kernel: spread(before, kernel, rows), kernels))


def _mirrored_rows(image: Image, first: int, last: int) -> NDArray[np.float32]:
    """Rows of an image that its mirror images continue."""
    wanted = mirrored(first, last, image.shape[0])
    lowest = int(wanted.min())
    rows: NDArray[np.float32] = image[lowest : int(wanted.max()) + 1][wanted - lowest]
    return rows
