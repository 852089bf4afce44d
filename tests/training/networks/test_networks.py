"""The network: shapes, ranges of its channels, and how far a pixel reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import keras

from smlm_pipeline import contract
from smlm_pipeline.compute.activation import (
    INTENSITY_MIN,
    INTENSITY_SPREAD_MIN,
    INTENSITY_SPREAD_TYPICAL,
    INTENSITY_TYPICAL,
    SIGMA_MIN_PX,
)
from smlm_training.networks import NETWORKS
from smlm_training.networks.resampling import DoubleSize
from smlm_training.networks.unet import PROBABILITY_PRIOR

pytestmark = pytest.mark.training

RADIUS_PX = {"unet": 24, "unet-fast": 23}
"""Farthest pixel that sees a pixel: by the convolutions, and up to 3 by pooling."""

PARAMETERS = {"unet": 427_399, "unet-fast": 125_191}

CHANNELS = contract.NORMALIZED.dims[1]


@pytest.fixture(scope="module", params=RADIUS_PX)
def name(request: pytest.FixtureRequest) -> str:
    """Of each network that answers with detections."""
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> Any:
    """Random weights, always the same."""
    keras.utils.set_random_seed(1)
    return NETWORKS[name]()


def _answer(network: Any, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    detections: NDArray[np.float32] = np.asarray(network(frames))
    return detections


def _frames(*shape: int, spread: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(0, spread, (*shape, CHANNELS)).astype(np.float32)


def _reach_px(
    network: Any, frame: NDArray[np.float32], y: int, x: int, change: float
) -> tuple[int, int, int, int]:
    """How far up, down, left and right one changed pixel changes the answer."""
    changed = frame.copy()
    changed[0, y, x] += change
    before, after = _answer(network, np.concatenate([frame, changed]))
    rows, columns = np.nonzero((before != after).any(axis=2))
    return (
        int(y - rows.min()),
        int(rows.max() - y),
        int(x - columns.min()),
        int(columns.max() - x),
    )


def test_size(name: str, network: Any) -> None:
    assert network.count_params() == PARAMETERS[name]
    filters = {layer.filters for layer in network.layers if hasattr(layer, "filters")}
    assert {count % 16 for count in filters - {7}} == {0}  # seven: the answers


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 20, 36), (2, 64, 28), (1, 4, 8)])
def test_one_detection_per_pixel(network: Any, shape: tuple[int, int, int]) -> None:
    detections = _answer(network, _frames(*shape))
    assert detections.shape == (*shape, len(contract.DETECTION_CHANNELS))
    assert detections.dtype == np.float32


@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_channels_keep_their_ranges(network: Any, spread: float) -> None:
    detections = _answer(network, _frames(2, 32, 32, spread=spread))
    probability, offset_px, sigma_px = np.split(detections[..., :5], [1, 3], axis=-1)
    intensity, sigma_intensity = detections[..., 5], detections[..., 6]
    assert np.isfinite(detections).all()
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert np.abs(offset_px).max() <= contract.MAX_OFFSET_PX
    assert np.abs(offset_px).max() > 0.1 * contract.MAX_OFFSET_PX
    assert sigma_px.min() >= np.float32(SIGMA_MIN_PX) > 0
    assert np.ptp(sigma_px) > 0
    assert intensity.min() >= np.float32(INTENSITY_MIN) > 0
    assert (sigma_intensity >= 0.999 * INTENSITY_SPREAD_MIN * intensity).all()
    assert np.ptp(sigma_intensity / intensity) > 0


def test_channels_have_the_contracts_order(network: Any) -> None:
    """By their answers to a dark frame: the prior, no offset, softplus of zero, what is typical."""
    (detections,) = _answer(network, np.zeros((1, 16, 16, CHANNELS), np.float32))
    prior = 1 / (1 + np.exp(-PROBABILITY_PRIOR))
    sigma_px = np.log(2) + SIGMA_MIN_PX
    answers = {"probability": prior, "offset_y_px": 0, "offset_x_px": 0}
    answers |= {"sigma_y_px": sigma_px, "sigma_x_px": sigma_px}
    answers["intensity"] = INTENSITY_TYPICAL + INTENSITY_MIN
    spread = INTENSITY_SPREAD_TYPICAL + INTENSITY_SPREAD_MIN
    answers["sigma_intensity"] = spread * answers["intensity"]
    expected = [answers[channel] for channel in contract.DETECTION_CHANNELS]
    np.testing.assert_allclose(detections[8, 8], expected, rtol=1e-6)


def test_frames_do_not_influence_each_other(network: Any) -> None:
    frames = _frames(4, 24, 24)
    together = _answer(network, frames)
    for index in range(4):
        alone = _answer(network, frames[index : index + 1])[0]
        np.testing.assert_allclose(together[index], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alignment", range(contract.SIZE_MULTIPLE_PX))
def test_a_pixel_of_a_random_network_reaches_within_the_halo(
    name: str, network: Any, alignment: int
) -> None:
    place = 48 + alignment
    for change in (3.0, 1e3):
        reach_px = _reach_px(network, _frames(1, 96, 96), place, place, change)
        assert 8 < max(reach_px) <= RADIUS_PX[name]


def test_radius_of_the_receptive_field(name: str) -> None:
    """With positive weights nothing cancels, so the whole field shows.

    How far a pixel reaches depends on its place in its 4 x 4 block.
    """
    network = NETWORKS[name]()
    network.set_weights(
        [
            np.full(weight.shape, 1 / np.prod(weight.shape[:-1])) if weight.ndim == 4 else weight
            for weight in network.get_weights()
        ]
    )
    dark = np.zeros((1, 96, 96, CHANNELS), np.float32)
    reach_px = np.array(
        [_reach_px(network, dark, 48 + place, 51 - place, 100.0) for place in range(4)]
    )
    np.testing.assert_array_equal(reach_px[:, :2], reach_px[::-1, 2:])  # y and x are alike
    assert reach_px.max() == RADIUS_PX[name] <= contract.HALO_PX


def test_a_shift_by_whole_blocks_shifts_the_answer(name: str, network: Any) -> None:
    frame = _frames(1, 96, 96)
    shift = 2 * contract.SIZE_MULTIPLE_PX
    inner = slice(RADIUS_PX[name], 96 - RADIUS_PX[name] - shift)
    whole = _answer(network, frame)[0]
    cut = _answer(network, frame[:, shift:, shift:])[0]
    np.testing.assert_allclose(
        cut[inner, inner], whole[shift:, shift:][inner, inner], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 4), (1, 8, 4, 112)])
def test_double_size_repeats(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    doubled = np.asarray(DoubleSize()(values))
    np.testing.assert_array_equal(doubled, values.repeat(2, axis=1).repeat(2, axis=2))


def test_double_size_knows_open_axes() -> None:
    layer = DoubleSize()
    assert layer.compute_output_shape((None, None, None, 7)) == (None, None, None, 7)
    assert layer.compute_output_shape((3, 8, None, 7)) == (3, 16, None, 7)
    assert layer(keras.KerasTensor((None, 6, 10, 2))).shape == (None, 12, 20, 2)


def test_network_survives_its_file(network: Any, tmp_path: Path) -> None:
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    frames = _frames(1, 16, 24)
    np.testing.assert_array_equal(_answer(loaded, frames), _answer(network, frames))
