"""Richardson-Lucy for several precision classes at once, on some rows of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.refine.gaussian import filtered_columns, filtered_rows

_LEAST = np.float32(1e-30)
"""Where fewer molecules are expected, none are detected."""

FLAT_SHARE = 0.01
"""Share of molecules that may be anywhere, when detections are foretold: no sample of a structure
has all its places, and one detection at a new place must not outweigh all others."""

Rows = NDArray[np.float32]

Each = Callable[..., Iterable[Rows]]
"""Calls a function with one element of each sequence at a time, as `map` does."""


def spread(density: Rows, kernel: Rows, rows: int) -> Rows:
    """Spread molecules as a class of detections is spread, on the middle ``rows`` of some.

    Parameters
    ----------
    density : ndarray, shape (rows + 2 R, X), float32
        Molecules per SR pixel, with R more rows at both ends, at least the kernel's radius.
    kernel : ndarray, shape (r + 1,), float32
        The class's errors; see `gaussian.half_kernel`.
    rows : int
        Rows that are wanted.
    """
    cut = (len(density) - rows) // 2 - (len(kernel) - 1)
    return filtered_columns(filtered_rows(density[cut : len(density) - cut], kernel), kernel)


def step(
    expected: Sequence[Rows],
    classes: Sequence[Rows],
    kernels: Sequence[Rows],
    rows: int,
    each: Each = map,
) -> Rows:
    """Return the factor of a density's next step, sum_c K_c [ H_c / (K_c f) ], (rows, X) float32.

    H_c is the image of a class's detections, K_c the Gaussian of their errors and f the density
    of molecules. The next density is f times this factor: the EM step of the mixture in which
    each detection comes from one place of f, by which the likelihood grows and the sum of f is
    that of the detections (Richardson 1972, doi 10.1364/JOSA.62.000055; Lucy 1974, doi
    10.1086/111605; as EM: Shepp and Vardi 1982, doi 10.1109/TMI.1982.4307558; as an empirical
    prior: Laird 1978, doi 10.1080/01621459.1978.10480103).

    Parameters
    ----------
    expected : sequence of ndarray, shape (rows + 2 R, X), float32
        K_c f of each class, with R more rows at both ends.
    classes : sequence of ndarray, shape (rows + 2 R, X), float32
        H_c of each class.
    kernels : sequence of ndarray, shape (r + 1,), float32
        K_c; see `gaussian.half_kernel`. None has a radius above R.
    rows : int
        Rows that are wanted.
    each : callable
        `map`, or that of an executor whose threads share the classes.
    """

    def of_class(foretold: Rows, detected: Rows, kernel: Rows) -> Rows:
        return spread(detected / np.maximum(foretold, _LEAST), kernel, rows)

    factor = np.zeros((rows, expected[0].shape[1]), np.float32)
    for part in each(of_class, expected, classes, kernels):
        factor += part  # in the order of the classes, so threads change no bit
    return factor


def log_likelihoods(
    expected: Sequence[Rows], classes: Sequence[Rows], molecules: float, pixels: int
) -> list[float]:
    """Return the log-likelihood of each row of detections, in nats, under a density of others.

    Parameters
    ----------
    expected : sequence of ndarray, shape (rows, X), float32
        K_c f of each class.
    classes : sequence of ndarray, shape (rows, X), float32
        H_c of each class, of other frames than those that f was made of.
    molecules : float
        The sum of f over the image.
    pixels : int
        SR pixels of the image.
    """
    total = np.zeros(len(expected[0]))
    for foretold, detected in zip(expected, classes, strict=True):
        share = foretold * ((1 - FLAT_SHARE) / molecules) + FLAT_SHARE / pixels
        total += (detected * np.log(share)).sum(axis=1, dtype=np.float64)
    values: list[float] = total.tolist()
    return values
