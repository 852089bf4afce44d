"""CEL0's operator against dense matrices, its objective, and its solver."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from smlm_bench.baselines.cel0.solver import Iterations, minimise
from smlm_bench.baselines.imaging import Imaging

ZOOM, SIGMA_PX = 4, 1.1
SHAPES = [(7, 10), (8, 5), (16, 12)]


def _dense(size_px: int) -> NDArray[np.float64]:
    """One axis as a matrix: a Gaussian around each SR pixel's middle, over camera pixels."""
    edges = np.arange(size_px + 1)[:, None]
    middles = (np.arange(size_px * ZOOM) + 0.5) / ZOOM
    wraps = [
        np.diff(ndtr((edges + n * size_px - middles) / SIGMA_PX), axis=0) for n in range(-3, 4)
    ]
    whole: NDArray[np.float64] = np.sum(wraps, axis=0)
    return whole


@pytest.mark.parametrize("shape_px", SHAPES)
def test_operator_is_the_dense_matrix(shape_px: tuple[int, int]) -> None:
    imaging = Imaging(shape_px, ZOOM, SIGMA_PX)
    along_y, along_x = map(_dense, shape_px)
    rng = np.random.default_rng(0)
    fine = rng.random((2, shape_px[0] * ZOOM, shape_px[1] * ZOOM)).astype(np.float32)
    camera = rng.random((2, *shape_px)).astype(np.float32)
    np.testing.assert_allclose(imaging.forward(fine), along_y @ fine @ along_x.T, rtol=2e-5)
    np.testing.assert_allclose(
        imaging.transpose(camera), along_y.T @ camera @ along_x, rtol=2e-5, atol=1e-6
    )
    norms = np.outer(np.linalg.norm(along_y, axis=0), np.linalg.norm(along_x, axis=0))
    np.testing.assert_allclose(imaging.column_norms, norms, rtol=1e-5)


def test_lipschitz_constant_is_the_largest_eigenvalue() -> None:
    whole = np.kron(_dense(7), _dense(6))
    assert Imaging((7, 6), ZOOM, SIGMA_PX).lipschitz == pytest.approx(np.linalg.norm(whole, 2) ** 2)


def _objective(
    x: NDArray[np.float32], frame: NDArray[np.float32], imaging: Imaging, cost: float
) -> float:
    """G as the publication writes it."""
    a, top = imaging.column_norms.astype(float), np.sqrt(2 * cost)
    phi = np.where(x <= top / a, cost - a**2 / 2 * (x - top / a) ** 2, cost)
    left = imaging.forward(x[None])[0].astype(float) - frame
    return float(0.5 * np.sum(left**2) + phi.sum())


def test_objective_never_rises_and_is_that_of_the_publication() -> None:
    rng = np.random.default_rng(5)
    imaging = Imaging((12, 9), ZOOM, SIGMA_PX)
    true = np.zeros((3, 48, 36), np.float32)
    true[0, 20, 15], true[1, 20, 15], true[1, 22, 22] = 900, 700, 500
    frames = (imaging.forward(true) + rng.normal(0, 4, (3, 12, 9))).astype(np.float32)
    cost = np.array([300.0, 300.0, 20.0])
    for inner in (1, 7, 200):
        solution = minimise(imaging, frames, cost, Iterations(outer=12, inner=inner))
        objectives = solution.objectives
        assert (np.diff(objectives, axis=0) <= 1e-6 * objectives[0]).all()
        assert (objectives[-1, :2] < objectives[0, :2]).all()
        assert (solution.x >= 0).all()
        for index in range(3):
            expected = _objective(solution.x[index], frames[index], imaging, cost[index])
            assert objectives[-1, index] == pytest.approx(expected, rel=1e-4)


def test_frames_of_a_block_do_not_see_each_other() -> None:
    imaging = Imaging((12, 9), ZOOM, SIGMA_PX)
    true = np.zeros((2, 48, 36), np.float32)
    true[0, 20, 15], true[1, 30, 8] = 900, 700
    frames = imaging.forward(true)
    few = Iterations(outer=3, inner=30)
    together = minimise(imaging, frames, np.array([300.0, 200.0]), few).x
    alone = minimise(imaging, frames[1:], np.array([200.0]), few).x
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-3, atol=1e-2)


def test_what_costs_more_than_it_explains_is_left_out() -> None:
    imaging = Imaging((12, 9), ZOOM, SIGMA_PX)
    true = np.zeros((1, 48, 36), np.float32)
    true[0, 20, 15] = 100
    worth = (100 * float(imaging.column_norms[20, 15])) ** 2 / 2
    frames = imaging.forward(true)
    few = Iterations(outer=5, inner=100)
    assert not minimise(imaging, frames, np.array([1.1 * worth]), few).x.any()
    assert minimise(imaging, frames, np.array([0.2 * worth]), few).x.any()
