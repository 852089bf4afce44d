"""The map networks: shape, size, cost, receptive field, shifts, and that they learn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import keras
import tensorflow as tf

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_training.fitting.map_losses import map_loss
from smlm_training.networks import NETWORKS, Kind, kind_of
from smlm_training.networks.fine_map import MAP_SCALE, Density
from smlm_training.networks.resampling import SubPixels

pytestmark = pytest.mark.training

NAMES = sorted(name for name in NETWORKS if kind_of(name).answer.makes_maps)

each_network = pytest.mark.parametrize("name", NAMES)

MULTIPLE_PX = {"deep-storm": 1, "fid-storm": 1, "unet-interpolated": 1, "unet-map": 4}

CONVOLUTION_WEIGHTS = {
    # 9 (32 + 32 64 + 64 128 + 128 512 + 512 128 + 128 64 + 64 32) + 32
    "deep-storm": 1_364_288,
    # 9 (64 + 10 64 64 + 64 32 + 32 16 + 16)
    "fid-storm": 392_400,
    # down: 9 (16 + 16 16 + 16 32 + 32 32 + 32 64 + 64 64 + 64 128 + 128 128)
    # up: 9 (192 64 + 64 64 + 96 32 + 32 32 + 48 16 + 16 16 + 16 16) + 16
    "unet-interpolated": 488_608,
    # down: 9 (32 + 32 32 + 32 64 + 64 64 + 64 112 + 112 112)
    # up: 9 (176 64 + 64 64 + 96 32 + 32 32 + 32 32) + 32 64
    "unet-map": 428_576,
}

PARAMETERS = {
    "deep-storm": 1_364_288 + 4 * 960,  # batch normalisation of 960 channels
    "fid-storm": 392_400 + 4 * 640,
    "unet-interpolated": 488_608 + 721,  # biases
    "unet-map": 428_576 + 704,
}

GMAC = {"deep-storm": 24.2, "fid-storm": 2.15, "unet-interpolated": 11.2, "unet-map": 0.481}
"""Billions of multiplications and additions for a frame of 64 x 64."""

REACH_PX = {"deep-storm": 3, "fid-storm": 12, "unet-interpolated": 6, "unet-map": 24}
"""Camera pixels from a pixel to the farthest one whose fine pixels see it."""


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    """All of them with random weights, always the same."""
    keras.utils.set_random_seed(1)
    return {name: NETWORKS[name]() for name in NAMES}


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy("float32")


def _frames(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(0.5, 1, (*shape, 1)).astype(np.float32)


def _answer(network: Any, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(network(frames))


def _convolutions(network: Any) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]


@each_network
def test_answer_is_eight_times_finer(networks: dict[str, Any], name: str) -> None:
    sides = {1: [(1, 9, 14), (2, 26, 26)], 4: [(1, 8, 12), (2, 28, 28)]}
    for count, height, width in sides[MULTIPLE_PX[name]]:
        maps = _answer(networks[name], _frames(count, height, width))
        assert maps.shape == (count, 8 * height, 8 * width, 1)
        assert maps.dtype == np.float32
        assert np.ptp(maps) > 0


@each_network
def test_number_of_weights(networks: dict[str, Any], name: str) -> None:
    network = networks[name]
    kernels = [int(np.prod(layer.kernel.shape)) for layer in _convolutions(network)]
    assert sum(kernels) == CONVOLUTION_WEIGHTS[name]
    assert network.count_params() == PARAMETERS[name]


@each_network
def test_cost_of_a_frame(networks: dict[str, Any], name: str) -> None:
    frame = keras.Input((64, 64, 1))
    sized = keras.models.clone_model(networks[name], input_tensors=frame)
    macs = [
        np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3])
        for layer in _convolutions(sized)
    ]
    assert float(np.sum(macs)) / 1e9 == pytest.approx(GMAC[name], rel=0.01)


def test_layers_of_deep_storm(networks: dict[str, Any]) -> None:
    """As published: widths, no bias, and batch normalisation and ReLU after all but the last."""
    convolutions = _convolutions(networks["deep-storm"])
    assert [layer.filters for layer in convolutions] == [32, 64, 128, 512, 128, 64, 32, 1]
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * 7 + [(1, 1)]
    assert not any(layer.use_bias for layer in convolutions)
    kinds = [type(layer).__name__ for layer in networks["deep-storm"].layers]
    block = ["Conv2D", "BatchNormalization", "ReLU"]
    down, up = [*block, "MaxPooling2D"], ["DoubleSize", *block]
    expected = ["InputLayer", *["DoubleSize"] * 3, *3 * down, *block, *3 * up]
    assert kinds == [*expected, "Conv2D", "Rescaling"]


@each_network
def test_receptive_field(name: str) -> None:
    """With positive weights nothing cancels, so the whole field shows: from each place of a
    4 x 4 block, the farthest camera pixel of which a fine pixel changes.
    """
    network = NETWORKS[name]()
    network.set_weights(
        [
            np.full(weight.shape, 1 / np.prod(weight.shape[:-1])) if weight.ndim == 4 else weight
            for weight in network.get_weights()
        ]
    )
    size_px = 2 * REACH_PX[name] + 12
    frames = np.zeros((5, size_px, size_px, 1), np.float32)
    places = [size_px // 2 + step for step in range(4)]
    for index, place in enumerate(places):
        frames[index, place, place, 0] = 1e4
    *lit, dark = _answer(network, frames)[..., 0]
    reach_px = 0
    for place, maps in zip(places, lit, strict=True):
        changed = np.unique(np.argwhere(maps != dark) // 8)
        reach_px = max(reach_px, place - changed.min(), changed.max() - place)
    assert reach_px == REACH_PX[name] <= contract.HALO_PX


@each_network
def test_a_shift_by_camera_pixels_shifts_the_map(networks: dict[str, Any], name: str) -> None:
    """By any number of them, but for the network that pools camera pixels."""
    shift = MULTIPLE_PX[name]
    reach = REACH_PX[name]
    size_px = 2 * reach + 4 + 4 * shift
    size_px += -size_px % 4
    frame = _frames(1, size_px + shift, size_px + shift)
    first = _answer(networks[name], frame[:, :size_px, :size_px])[0]
    moved = _answer(networks[name], frame[:, shift:, shift:])[0]
    inner = slice(8 * reach, 8 * (size_px - reach - shift))
    outer = slice(8 * (reach + shift), 8 * (size_px - reach))
    assert first[outer, outer].size
    np.testing.assert_allclose(moved[inner, inner], first[outer, outer], rtol=0, atol=1e-6)


@each_network
def test_frames_do_not_influence_each_other(networks: dict[str, Any], name: str) -> None:
    frames = _frames(3, 12, 12)
    together = _answer(networks[name], frames)
    alone = [_answer(networks[name], frames[index : index + 1])[0] for index in range(3)]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["unet-interpolated", "unet-map"])
def test_our_maps_are_never_negative(networks: dict[str, Any], name: str) -> None:
    maps = _answer(networks[name], 100 * _frames(2, 16, 16))
    assert maps.max() > maps.min() == 0


def test_density_is_a_relu_with_a_gradient_below_zero() -> None:
    values = tf.constant([-3.0, -0.5, 0.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        trained = Density()(values, training=True)
    np.testing.assert_array_equal(trained, [0, 0, 0, 2])
    np.testing.assert_array_equal(Density()(values), trained)
    gradient = np.asarray(tape.gradient(trained, values))
    np.testing.assert_allclose(gradient[[0, 1, 3]], [0.1, 0.1, 1])


@each_network
@pytest.mark.usefixtures("mixed_precision")
def test_mixed_precision_answers_in_float32(name: str) -> None:
    network = NETWORKS[name]()
    maps = _answer(network, _frames(1, 8, 8))
    assert network.layers[5].compute_dtype == "bfloat16"
    assert maps.dtype == np.float32
    assert (maps.astype(tf.bfloat16.as_numpy_dtype).astype(np.float32) != maps).any()


@each_network
def test_network_survives_its_file(networks: dict[str, Any], name: str, tmp_path: Path) -> None:
    networks[name].save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    frames = _frames(1, 8, 12)
    np.testing.assert_array_equal(_answer(loaded, frames), _answer(networks[name], frames))


@each_network
def test_network_learns_one_batch(name: str) -> None:
    """Spots in the middle of some pixels: the loss of a batch falls far below that of a blank."""
    keras.utils.set_random_seed(4)
    network = NETWORKS[name]()
    rng = np.random.default_rng(5)
    position_px = rng.uniform(2, 6, (2, 3, 2)).astype(np.float32)
    y, x = np.mgrid[:8, :8] + 0.5
    squared = (y - position_px[..., :1, None]) ** 2 + (x - position_px[..., 1:, None]) ** 2
    spots = (2 * np.exp(-squared / 2)).sum(axis=1)
    frames = spots[..., None].astype(np.float32)
    present = np.ones((2, 3), np.float32)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(network.trainable_variables)  # or the step is traced twice

    def step() -> Any:
        with tf.GradientTape() as tape:
            maps = network(frames, training=True)
            loss = tf.reduce_mean(map_loss(maps, position_px, present, l1_weight=0.02))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply(gradients, network.trainable_variables)
        return loss

    compiled = tf.function(step, autograph=False)
    losses = [float(compiled()) for _ in range(60)]
    blank = tf.reduce_mean(map_loss(tf.zeros((2, 64, 64, 1)), position_px, present, l1_weight=0.02))
    assert min(losses[-10:]) < 0.7 * float(blank)


def test_sub_pixels_are_laid_out_row_by_row() -> None:
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4)
    fine = np.asarray(SubPixels(2)(values))
    expected = values.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3).reshape(4, 6)
    np.testing.assert_array_equal(fine[0, ..., 0], expected)


def test_sub_pixels_know_open_axes() -> None:
    layer = SubPixels(8)
    assert layer.compute_output_shape((None, None, None, 64)) == (None, None, None, 1)
    assert layer.compute_output_shape((3, 8, None, 64)) == (3, 64, None, 1)
    assert SubPixels.from_config(layer.get_config()).compute_output_shape((1, 1, 1, 64))[1] == 8


@each_network
def test_kind_of_a_map_network(name: str) -> None:
    assert kind_of(name) == Kind(contract.MAP_ANSWER, MULTIPLE_PX[name])


def test_kind_of_the_unet() -> None:
    assert kind_of("unet") == Kind(contract.DETECTION_ANSWER, contract.SIZE_MULTIPLE_PX)


def test_unknown_network_is_refused() -> None:
    with pytest.raises(SettingError, match="no network is called vnet; expected one of unet, "):
        kind_of("vnet")


@each_network
def test_one_emitter_inside_is_one_emitter_outside(networks: dict[str, Any], name: str) -> None:
    """The last layer, and nothing else, turns ``MAP_SCALE`` into one."""
    *_, last = networks[name].layers
    assert isinstance(last, keras.layers.Rescaling)
    assert last.scale == 1 / MAP_SCALE
    assert last.offset == 0
