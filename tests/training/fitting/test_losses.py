"""The likelihood of molecules, against the same formulas written out over all pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from smlm_training.fitting.losses import count_loss, detection_loss, molecule_loss

pytestmark = pytest.mark.training

HEIGHT_PX, WIDTH_PX = 9, 12


def _detections(seed: int, frames: int = 2) -> NDArray[np.float32]:
    """Random, with offsets and sigmas so small that far pixels add nothing."""
    rng = np.random.default_rng(seed)
    shape = (frames, HEIGHT_PX, WIDTH_PX, 1)
    bounds = [(0.01, 0.95), (-0.6, 0.6), (-0.6, 0.6), (0.1, 0.3), (0.1, 0.3), (4, 40), (1, 9)]
    channels = [rng.uniform(low, high, shape) for low, high in bounds]
    detections: NDArray[np.float32] = np.concatenate(channels, axis=3).astype(np.float32)
    return detections


def _molecules(seed: int, counts: tuple[int, ...]) -> tuple[NDArray[np.float32], ...]:
    """Positions (N, E, 2), anywhere, presence (N, E) of the first ``counts``, and intensities."""
    rng = np.random.default_rng(seed)
    places = max(counts) + 2
    position_px = rng.uniform(0, 1, (len(counts), places, 2)) * (HEIGHT_PX, WIDTH_PX)
    present = np.arange(places) < np.array(counts)[:, None]
    intensity = rng.uniform(4, 40, present.shape)
    return tuple(part.astype(np.float32) for part in (position_px, present, intensity))


def _mixture_over_all_pixels(
    detections: NDArray[np.float32],
    position_px: NDArray[np.float32],
    intensity: NDArray[np.float32],
) -> float:
    """-sum over molecules of log sum over pixels of p / sum p times the density there."""
    channels = np.moveaxis(detections.astype(np.float64), 2, 0)
    probability, dy, dx, sigma_y, sigma_x, light, sigma_light = channels
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX] + 0.5
    total = 0.0
    for (y_px, x_px), shines in zip(position_px, intensity, strict=True):
        density = norm.pdf(y_px, rows + dy, sigma_y) * norm.pdf(x_px, columns + dx, sigma_x)
        if not np.isnan(shines):
            density *= norm.pdf(shines, light, sigma_light)
        total -= np.log((probability / probability.sum() * density).sum())
    return total


def _one_detection(
    *,
    dy_px: float = 0.0,
    dx_px: float = 0.0,
    sigma_px: float = 0.2,
    light: tuple[float, float] = (20.0, 2.0),
    row: int = 4,
    column: int = 5,
) -> NDArray[np.float32]:
    """One pixel is sure of a molecule, the others of none."""
    detections = np.zeros((1, HEIGHT_PX, WIDTH_PX, 7), np.float32)
    detections[..., 0] = 1e-5
    detections[..., 3:] = 0.2
    detections[0, row, column] = [0.97, dy_px, dx_px, sigma_px, sigma_px, *light]
    return detections


def _loss_of_one(
    detections: NDArray[np.float32], y_px: float, x_px: float, intensity: float = np.nan
) -> float:
    position_px = np.array([[[y_px, x_px]]], np.float32)
    light = np.array([[intensity]], np.float32)
    return float(molecule_loss(detections, position_px, np.ones((1, 1), np.float32), light)[0])


def _gradient(
    detections: NDArray[np.float32],
    position_px: NDArray[np.float32],
    present: NDArray[np.float32],
    intensity: NDArray[np.float32],
) -> NDArray[np.float32]:
    variable = tf.Variable(detections)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(detection_loss(variable, position_px, present, intensity))
    gradient: NDArray[np.float32] = np.asarray(tape.gradient(loss, variable))
    return gradient


def test_count_loss_is_that_of_a_normal_variable() -> None:
    detections = _detections(1)
    _, present, _ = _molecules(2, (7, 30))
    probability = detections[..., 0].astype(np.float64)
    mean = probability.sum(axis=(1, 2))
    variance = (probability * (1 - probability)).sum(axis=(1, 2)) + 1e-3
    expected = -norm.logpdf([7, 30], mean, np.sqrt(variance))
    np.testing.assert_allclose(count_loss(detections, present), expected, rtol=1e-5)


def test_count_loss_by_hand() -> None:
    """Four pixels of one half: mean 2, variance 1; three molecules are one off."""
    detections = np.zeros((1, 2, 2, 7), np.float32)
    detections[..., 0] = 0.5
    loss = count_loss(detections, np.ones((1, 3), np.float32))
    assert float(loss[0]) == pytest.approx(0.5 * (1 / 1.001 + np.log(2 * np.pi * 1.001)))


def test_count_loss_is_least_at_the_true_count() -> None:
    present = np.ones((1, 6), np.float32)
    losses = []
    for expected in (2, 4, 6, 8, 10):
        detections = np.zeros((1, HEIGHT_PX, WIDTH_PX, 7), np.float32)
        detections[..., 0] = expected / (HEIGHT_PX * WIDTH_PX)
        losses.append(float(count_loss(detections, present)[0]))
    assert np.argmin(losses) == 2


@pytest.mark.parametrize("seed", range(4))
def test_molecule_loss_is_the_mixture_over_all_pixels(seed: int) -> None:
    """Intensities count where they are known."""
    detections = _detections(seed)
    counts = (25, 4)
    position_px, present, intensity = _molecules(seed + 10, counts)
    intensity[:, ::3] = np.nan
    expected = [
        _mixture_over_all_pixels(
            detections[frame], position_px[frame, :count], intensity[frame, :count]
        )
        for frame, count in enumerate(counts)
    ]
    found = np.asarray(molecule_loss(detections, position_px, present, intensity))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("y_px", [0.0, 0.3, HEIGHT_PX - 0.3, HEIGHT_PX - 0.001])
@pytest.mark.parametrize("x_px", [0.0, 0.6, WIDTH_PX - 0.4, WIDTH_PX - 0.001])
def test_molecule_loss_near_the_border(y_px: float, x_px: float) -> None:
    detections = _detections(5, frames=1)
    position_px, intensity = np.array([[y_px, x_px]], np.float32), np.array([30], np.float32)
    expected = _mixture_over_all_pixels(detections[0], position_px, intensity)
    assert _loss_of_one(detections, y_px, x_px, 30) == pytest.approx(expected, rel=1e-4)


def test_molecule_loss_by_hand() -> None:
    """A sure detection, one and two sigmas off along y and x, and three in its intensity."""
    detections = _one_detection(dy_px=0.1, dx_px=-0.1, sigma_px=0.2, light=(20, 4))
    loss = _loss_of_one(detections, 4.5 + 0.1 + 0.2, 5.5 - 0.1 - 0.4, 20 + 12)
    share = 0.97 / (0.97 + 1e-5 * (HEIGHT_PX * WIDTH_PX - 1))
    expected = 0.5 * (1 + 4 + 9) + 2 * np.log(0.2) + np.log(4) + 1.5 * np.log(2 * np.pi)
    expected -= np.log(share)
    assert loss == pytest.approx(expected, abs=1e-3)


def test_free_places_add_nothing() -> None:
    detections = _detections(6)
    position_px, present, intensity = _molecules(7, (5, 0))
    elsewhere = np.where(present[..., None] > 0, position_px, np.float32(3.3))
    brighter = np.where(present > 0, intensity, np.float32(99))
    loss = np.asarray(detection_loss(detections, position_px, present, intensity))
    other = np.asarray(detection_loss(detections, elsewhere, present, brighter))
    np.testing.assert_array_equal(loss, other)
    empty = np.asarray(molecule_loss(detections, position_px, present, intensity))[1]
    assert empty == 0


def test_detection_loss_is_the_sum_of_both() -> None:
    detections = _detections(8)
    truth = _molecules(9, (5, 9))
    loss = np.asarray(detection_loss(detections, *truth))
    assert loss.shape == (2,)
    assert loss.dtype == np.float32
    parts = count_loss(detections, truth[1]) + molecule_loss(detections, *truth)
    np.testing.assert_allclose(loss, parts, rtol=1e-6)


def test_a_better_placed_detection_has_a_lower_loss() -> None:
    offs_px = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
    losses = [_loss_of_one(_one_detection(dy_px=off, dx_px=-off), 4.5, 5.5) for off in offs_px]
    assert np.diff(losses).min() > 0.01


def test_the_same_place_told_by_a_neighbour_is_as_good() -> None:
    own = _loss_of_one(_one_detection(dy_px=0.3, row=4), 4.8, 5.5)
    neighbour = _loss_of_one(_one_detection(dy_px=-0.7, row=5), 4.8, 5.5)
    assert own == pytest.approx(neighbour, abs=1e-4)


def test_an_honest_sigma_has_the_lowest_loss() -> None:
    sigmas_px = (0.05, 0.1, 0.2, 0.4, 0.8)
    losses = [
        _loss_of_one(_one_detection(dy_px=0.2, dx_px=0.2, sigma_px=sigma_px), 4.5, 5.5)
        for sigma_px in sigmas_px
    ]
    assert sigmas_px[int(np.argmin(losses))] == 0.2


def test_gradient_moves_a_detection_towards_its_molecule() -> None:
    gradient = _gradient(
        _one_detection(sigma_px=0.3),
        np.array([[[4.7, 5.4]]], np.float32),
        np.ones((1, 1), np.float32),
        np.array([[23]], np.float32),
    )
    offset_y, offset_x = gradient[0, 4, 5, 1:3]
    assert offset_y < 0 < offset_x  # downhill is towards larger y and smaller x
    assert gradient[0, 4, 5, 5] < 0  # and towards more light


def test_an_unknown_intensity_gives_no_gradient() -> None:
    position_px, present, intensity = _molecules(14, (20, 0))
    gradient = _gradient(_detections(15), position_px, present, np.full_like(intensity, np.nan))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[..., 5:], 0)
    assert np.abs(gradient[0, ..., 1:5]).max() > 0


def test_of_two_detections_at_one_place_the_one_as_bright_is_the_molecule() -> None:
    """The intensity is inside the mixture: it says which of two pixels a molecule belongs to."""
    both = _one_detection(light=(20, 2))
    both[0, 4, 6] = [0.97, 0, -1, 0.2, 0.2, 60, 2]
    position_px = np.array([[[4.5, 5.5]]], np.float32)
    gradient = _gradient(
        both, position_px, np.ones((1, 1), np.float32), np.array([[59]], np.float32)
    )
    assert np.abs(gradient[0, 4, 5, 1:]).max() < 1e-6 < np.abs(gradient[0, 4, 6, 5])


@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.5, 1.0])
def test_gradient_of_an_empty_frame_is_finite(probability: float) -> None:
    detections = _detections(11)
    detections[..., 0] = probability
    position_px = np.zeros((2, 5, 2), np.float32)
    nobody = np.zeros((2, 5), np.float32)
    gradient = _gradient(detections, position_px, nobody, nobody)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[..., 1:], 0)


@pytest.mark.parametrize("sigma", [0.001, 3.0])
@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_gradient_of_a_hopeless_answer_is_finite(sigma: float, probability: float) -> None:
    detections = _detections(12)
    detections[..., 0] = probability
    detections[..., 1:3] = 1
    detections[..., 3:] = sigma
    detections[..., 5] = 0.1
    truth = _molecules(13, (20, 0))
    assert np.isfinite(np.asarray(detection_loss(detections, *truth))).all()
    assert np.isfinite(_gradient(detections, *truth)).all()
