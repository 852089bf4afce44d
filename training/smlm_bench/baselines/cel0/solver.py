"""The CEL0 objective and its minimiser: reweighted l1 (IRL1) outside, FISTA inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.baselines.imaging import Floats, Imaging


@dataclass(frozen=True)
class Iterations:
    """Most iterations outside and inside, and the relative change that ends either."""

    outer: int = 10
    inner: int = 200
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Solution:
    """``x`` (N, zoom Y, zoom X) float32, and the objective before and after each outer iteration.

    ``objectives`` has the shape (iterations + 1, N), float64.
    """

    x: Floats
    objectives: NDArray[np.float64]


def minimise(
    imaging: Imaging, frames: Floats, cost: NDArray[np.float64], iterations: Iterations
) -> Solution:
    """Minimise G(x) = 1/2 ||A x - y||^2 + sum_i phi(x_i) over x >= 0, for each frame.

    phi is CEL0, the continuous exact relaxation of the number of molecules (Soubies
    et al., doi 10.1137/151003714): phi(u) = L - (a^2 / 2) (u - sqrt(2 L) / a)^2 up to
    u = sqrt(2 L) / a, and L beyond, with a = ||a_i|| and L the cost of a molecule. It is
    concave, so its tangent lies above it: each outer iteration minimises G with phi
    replaced by its tangent, of slope w_i = max(a sqrt(2 L) - a^2 x_i, 0), which is a
    problem with a weighted l1 term (Gazagnes et al., doi 10.1109/ISBI.2017.7950460).
    An inner solution that is no better than what it began with is dropped, so G
    never rises.

    Parameters
    ----------
    imaging : Imaging
        A.
    frames : ndarray, shape (N, Y, X), float32
        y, without background.
    cost : ndarray, shape (N,), float64
        L of each frame, in the square of the unit of ``frames``.
    iterations : Iterations
        When to stop.
    """
    norms = imaging.column_norms
    top = np.sqrt(2 * cost).astype(np.float32)[:, None, None]
    height, width = norms.shape
    x = np.zeros((len(frames), height, width), np.float32)
    data = _misfit(imaging, x, frames)
    objectives = [data + _penalty(x, norms, cost)]
    active = np.arange(len(frames))
    for _ in range(iterations.outer):
        before = x[active]
        weights = norms * np.maximum(top[active] - norms * before, 0)
        after = _fista(imaging, frames[active], before, weights, iterations)
        data_after = _misfit(imaging, after, frames[active])
        gained = data[active] - data_after + _total(weights * (before - after))
        better = gained > 0
        improved = active[better]
        x[improved], data[improved] = after[better], data_after[better]
        objectives.append(data + _penalty(x, norms, cost))
        change = _length(after - before) > iterations.tolerance * _length(before)
        active = active[better & change]
        if not len(active):
            break
    return Solution(x, np.array(objectives))


def _fista(
    imaging: Imaging, frames: Floats, start: Floats, weights: Floats, iterations: Iterations
) -> Floats:
    """Minimise 1/2 ||A x - y||^2 + sum w x over x >= 0 (doi 10.1137/080716542)."""
    step = np.float32(1 / imaging.lipschitz)
    x, z = start, start.copy()
    shrinkage = weights * step
    momentum = 1.0
    for _ in range(iterations.inner):
        following = imaging.transpose(imaging.forward(z) - frames)
        following *= -step
        following += z
        following -= shrinkage
        np.maximum(following, 0, out=following)
        momentum_after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        np.subtract(following, x, out=z)
        settled = _length(z) <= iterations.tolerance * _length(x)
        z *= np.float32((momentum - 1) / momentum_after)
        z += following
        x, momentum = following, momentum_after
        if settled.all():
            break
    return x


def _misfit(imaging: Imaging, x: Floats, frames: Floats) -> NDArray[np.float64]:
    return 0.5 * _length(imaging.forward(x) - frames) ** 2


def _penalty(x: Floats, norms: Floats, cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of phi over each frame, (N,)."""
    root = np.sqrt(2 * cost).astype(np.float32)[:, None, None]
    # L - (a^2 / 2) (u - sqrt(2 L) / a)^2 = a u (sqrt(2 L) - a u / 2), without L's cancellation
    reached = np.minimum(norms * x, root)
    return _total(reached * (root - reached / 2))


def _total(values: Floats) -> NDArray[np.float64]:
    total: NDArray[np.float64] = values.sum(axis=(1, 2), dtype=np.float64)
    return total


def _length(values: Floats) -> NDArray[np.float64]:
    """Euclidean length of each frame, (N,)."""
    squares = np.einsum("nyx,nyx->n", values, values, dtype=np.float64)
    return np.asarray(np.sqrt(squares))
