"""The loss of detections that gather at the camera's grid, where their gathering is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from smlm_training.fitting.losses import grid_loss

pytestmark = pytest.mark.training

EDGE_PX = 48
MOLECULES = 200


def _frames(
    gathered: float, *, frames: int = 200, error_px: float = 0.15, seed: int = 5
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Detections, positions, presence. Offsets are drawn to the middle of pixels by ``gathered``.

    A density of 1 + m cos(2 pi y) results, with m = ``gathered`` where that is small.
    """
    rng = np.random.default_rng(seed)
    position_px = rng.uniform(0, EDGE_PX, (frames, MOLECULES, 2)).astype(np.float32)
    found_px = position_px + rng.normal(0, error_px, position_px.shape)
    found_px += gathered / (2 * np.pi) * np.sin(2 * np.pi * found_px)
    found_px %= EDGE_PX
    detections = np.zeros((frames, EDGE_PX, EDGE_PX, 7), np.float32)
    for frame, places in enumerate(found_px):
        row, column = np.floor(places).astype(int).T
        detections[frame, row, column, 0] = 1
        detections[frame, row, column, 1:3] = places % 1 - 0.5
    return detections, position_px, np.ones((frames, MOLECULES), np.float32)


def test_grid_loss_is_the_products_of_quarters() -> None:
    """Written out, with molecules that are absent and probabilities below one."""
    detections, position_px, present = _frames(0.3, frames=3)
    rng = np.random.default_rng(1)
    detections[..., 0] *= rng.uniform(0.2, 1, detections.shape[:3])
    present[:, 150:] = 0
    half = EDGE_PX // 2
    centre = np.arange(EDGE_PX) + 0.5
    expected = np.zeros(3)
    for frame in range(3):
        for axis in (0, 1):
            pixel = centre[:, None] if axis == 0 else centre[None]
            wave = np.exp(2j * np.pi * (pixel + detections[frame, ..., 1 + axis]))
            drawn = detections[frame, ..., 0] * wave
            true = position_px[frame, :150].astype(np.float64)
            excess = []
            for lower in (False, True):
                for right in (False, True):
                    rows, columns = (
                        slice(half, None) if far else slice(half) for far in (lower, right)
                    )
                    here = ((true[:, 0] >= half) == lower) & ((true[:, 1] >= half) == right)
                    excess.append(
                        drawn[rows, columns].sum() - np.exp(2j * np.pi * true[here, axis]).sum()
                    )
            expected[frame] += sum(
                (excess[q] * np.conj(excess[r])).real for q in range(4) for r in range(4) if q != r
            )
    loss = grid_loss(detections, position_px, present)
    np.testing.assert_allclose(loss, expected / 151, rtol=1e-3, atol=1e-3)


def test_errors_without_gathering_cost_nothing_on_average() -> None:
    loss = np.asarray(grid_loss(*_frames(0.0, frames=600, error_px=0.3)))
    assert abs(loss.mean()) < 4 * loss.std() / np.sqrt(len(loss))


@pytest.mark.parametrize("gathered", [-0.2, 0.1, 0.2])
def test_gathering_costs_by_the_square_of_the_modulation(gathered: float) -> None:
    """Of n molecules, 2 axes with amplitude m / 2 each, and three quarters of the pairs."""
    loss = np.asarray(grid_loss(*_frames(gathered, frames=600, error_px=0.0)))
    drawn = 1 - MOLECULES / 2 / EDGE_PX**2  # of the molecules in a pixel, one is drawn
    expected = MOLECULES * 2 * (gathered / 2) ** 2 * 3 / 4
    assert loss.mean() == pytest.approx(
        expected * drawn**2, abs=4 * loss.std() / np.sqrt(len(loss)) + 0.05 * expected
    )


def test_gradient_spreads_what_has_gathered() -> None:
    detections, position_px, present = _frames(0.3, frames=50)
    offsets = tf.Variable(detections)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(grid_loss(offsets, position_px, present))
    gradient = np.asarray(tape.gradient(loss, offsets))[..., 1:3]
    found = detections[..., 0] > 0
    # a step against the gradient moves detections from the middle of their pixels to the edges
    outward = -(gradient * np.sin(2 * np.pi * detections[..., 1:3]))[found]
    assert outward.mean() > 0
