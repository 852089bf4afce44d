"""Equation (1) of the reference paper, against sums done by hand and by another library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import convolve2d

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from smlm_pipeline import contract
from smlm_training.fitting.map_losses import map_loss, truth_maps
from smlm_training.networks.fine_map import MAP_SCALE
from smlm_training.scoring.evaluate import truth_image

pytestmark = pytest.mark.training

ISOLATED = 796.8
"""100^2 ||g||^2: g^2 sums to 0.0797, near 1 / (4 pi) of a Gaussian that is not cut off."""


def _kernel() -> NDArray[np.float64]:
    y, x = np.mgrid[-3:4, -3:4]
    kernel = np.exp(-(y**2 + x**2) / 2)
    normalised: NDArray[np.float64] = kernel / kernel.sum()
    return normalised


def _truth(*emitters_px: Sequence[float], present: int | None = None) -> NDArray[np.float32]:
    """Truth of one frame of 2 x 3 camera pixels."""
    position_px = np.array([emitters_px], np.float32)
    taken = np.arange(len(emitters_px)) < (len(emitters_px) if present is None else present)
    maps = truth_maps(position_px, taken[None].astype(np.float32), 2, 3)
    return np.asarray(maps)


def _loss(
    maps: NDArray[np.float32], position_px: object, present: object, l1_weight: float
) -> NDArray[np.float32]:
    found = map_loss(
        tf.constant(maps),
        tf.constant(position_px, tf.float32),
        tf.constant(present, tf.float32),
        l1_weight=l1_weight,
    )
    return np.asarray(found)


def test_an_emitter_counts_one_in_its_fine_pixel() -> None:
    maps = _truth((0.5, 2.99), (1.374, 0.126))
    assert maps.shape == (1, 16, 24, 1)
    assert maps.dtype == np.float32
    assert np.argwhere(maps[0, ..., 0]).tolist() == [[4, 23], [10, 1]]
    assert maps.sum() == 2


def test_emitters_in_one_fine_pixel_add_up() -> None:
    assert _truth((0.51, 0.51), (0.62, 0.62), (0.63, 0.51))[0, ..., 0].max() == 2


def test_places_that_are_not_taken_count_nothing() -> None:
    maps = _truth((1.0, 1.0), (0.0, 0.0), (5.0, 9.0), present=1)
    assert np.argwhere(maps[0, ..., 0]).tolist() == [[8, 8]]
    assert _truth((1.0, 1.0), present=0).sum() == 0


def test_a_position_rounded_to_the_far_border_stays_in_the_frame() -> None:
    maps = _truth((np.nextafter(2.0, 0), np.nextafter(3.0, 0)), (2.0, 3.0))
    assert np.argwhere(maps[0, ..., 0]).tolist() == [[15, 23]]
    assert maps.sum() == 2


def test_frames_keep_their_emitters() -> None:
    position_px = np.array([[[0.5, 0.5]], [[1.5, 0.5]]], np.float32)
    maps = np.asarray(truth_maps(position_px, np.ones((2, 1), np.float32), 2, 2))
    assert np.argwhere(maps[..., 0]).tolist() == [[0, 4, 4], [1, 12, 4]]


@pytest.mark.parametrize("zoom", [1, 4, 8])
def test_truth_is_on_the_grid_of_the_scores(zoom: int) -> None:
    position_px = np.random.default_rng(1).uniform(0, (5, 6), (300, 2)).astype(np.float32)
    maps = truth_maps(position_px[None], np.ones((1, 300), np.float32), 5, 6, zoom)
    expected = truth_image(*position_px.T, shape=(5 * zoom, 6 * zoom), sr_pixel_size_nm=1 / zoom)
    np.testing.assert_array_equal(np.asarray(maps)[0, ..., 0], expected)


def test_truth_has_the_size_that_is_known_when_the_graph_runs() -> None:
    signature = [
        tf.TensorSpec((None, None, None, 1), tf.float32),
        tf.TensorSpec((None, None, 2), tf.float32),
        tf.TensorSpec((None, None), tf.float32),
    ]
    graph = tf.function(partial(map_loss, l1_weight=1.0), input_signature=signature)
    for height_px, width_px in ((2, 5), (4, 3)):
        maps = np.zeros((3, 8 * height_px, 8 * width_px, 1), np.float32)
        loss = graph(maps, np.full((3, 1, 2), 1.5, np.float32), np.ones((3, 1), np.float32))
        np.testing.assert_allclose(loss, [ISOLATED] * 3, rtol=1e-3)


def test_the_truth_itself_costs_only_its_sum() -> None:
    position_px = [[[0.5, 0.5], [0.55, 0.55], [1.9, 2.9]]]
    maps = _truth(*position_px[0])
    for l1_weight in (1.0, 0.02, 0.0):
        expected = l1_weight * MAP_SCALE * 3
        np.testing.assert_allclose(_loss(maps, position_px, [[1, 1, 1]], l1_weight), [expected])


def test_a_blank_map_costs_the_blurred_truth() -> None:
    """Whole in the middle; a spike in the corner keeps 4 of 7 taps along each axis."""
    blank = np.zeros((3, 32, 32, 1), np.float32)
    position_px = [[[2.0, 2.0]], [[0.0, 0.0]], [[2.0, 2.0]]]
    taps = np.exp(-0.5 * np.arange(-3, 4) ** 2.0)
    corner = MAP_SCALE**2 * (((taps / taps.sum())[3:] ** 2).sum()) ** 2
    found = _loss(blank, position_px, [[1], [1], [0]], 1.0)
    np.testing.assert_allclose(found, [ISOLATED, corner, 0], rtol=1e-4)


def test_loss_is_the_equation() -> None:
    """With the 7 x 7 kernel as a whole, and zeros beyond the border, frame by frame."""
    rng = np.random.default_rng(2)
    maps = rng.normal(0.01, 0.02, (2, 24, 32, 1)).astype(np.float32)
    position_px = rng.uniform(0, (3, 4), (2, 9, 2)).astype(np.float32)
    present = (rng.random((2, 9)) < 0.6).astype(np.float32)
    expected = []
    for predicted, places_px, taken in zip(maps[..., 0], position_px, present, strict=True):
        y, x = places_px[taken > 0].T
        truth = truth_image(y, x, shape=(24, 32), sr_pixel_size_nm=1 / contract.MAP_ZOOM)
        error = convolve2d(100 * predicted - 100 * truth, _kernel(), mode="same")
        expected.append((error**2).sum() + 0.3 * np.abs(100 * predicted).sum())
    np.testing.assert_allclose(_loss(maps, position_px, present, 0.3), expected, rtol=1e-5)


@pytest.mark.parametrize(("l1_weight", "lost"), [(1.0, 0.0628), (0.02, 0.00126)])
def test_how_much_of_a_known_emitter_is_lost(l1_weight: float, lost: float) -> None:
    """Smallest loss along the scaled truth: 1 - w / (200 ||g||^2)."""
    shares = np.linspace(0.9, 1.0, 2001)
    spike = _truth((1.0, 1.5))
    maps = (shares[:, None, None, None] * spike).astype(np.float32)
    loss = _loss(maps, np.full((2001, 1, 2), (1.0, 1.5)), np.ones((2001, 1)), l1_weight)
    assert 1 - shares[loss.argmin()] == pytest.approx(lost, abs=2e-4)


@pytest.mark.parametrize(("l1_weight", "lost"), [(1.0, 0.314), (0.02, 0.0063)])
def test_how_much_of_an_uncertain_emitter_is_lost(l1_weight: float, lost: float) -> None:
    """One emitter, known only up to a Gaussian of two fine pixels, as frames with it anywhere."""
    fine = np.arange(48)
    profile = np.exp(-0.5 * ((fine - 23.5) / 2) ** 2)
    probability = np.outer(profile, profile) / profile.sum() ** 2
    likely = np.argwhere(probability > 1e-7)
    weights = probability[tuple(likely.T)]
    position_px = tf.constant((likely[:, None] + 0.5) / contract.MAP_ZOOM, tf.float32)
    expected = []
    shares = np.linspace(0.5, 1, 5)
    for share in shares:
        maps = np.broadcast_to(share * probability[..., None], (len(likely), 48, 48, 1))
        loss = _loss(maps.astype(np.float32), position_px, np.ones((len(likely), 1)), l1_weight)
        expected.append(weights @ loss / weights.sum())
    curve = np.polyfit(shares, expected, 2)
    assert 1 + curve[1] / (2 * curve[0]) == pytest.approx(lost, rel=0.03)


def test_gradient_raises_the_map_where_an_emitter_is_missing() -> None:
    maps = tf.Variable(np.full((1, 16, 16, 1), 1e-3, np.float32))
    with tf.GradientTape() as tape:
        loss = map_loss(maps, tf.constant([[[1.0, 0.5]]]), tf.constant([[1.0]]), l1_weight=1.0)
    gradient = np.asarray(tape.gradient(loss, maps))[0, ..., 0]
    assert gradient.argmin() == 8 * 16 + 4
    assert gradient.min() < 0 < gradient[0, 15]
