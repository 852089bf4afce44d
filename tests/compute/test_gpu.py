"""``compute.gpu`` gives the bits of the host: the same CUDA source, with and without a GPU.

Without one, the source is run by the host's compiler, thread by thread (``fakes/cupy_on_host``);
that NVIDIA's compiler takes it is in ``test_cuda_source.py``. The marker ``gpu`` runs it for real.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import cupy_on_host
from fakes.films import spots_adu
from smlm_pipeline import contract
from smlm_pipeline.compute import draw as host_drawing
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.errors import ChunkError

WINDOWS = [
    (8, 0, 0, 12, 16),
    (1, 0, 0, 12, 16),
    (5, 3, 2, 7, 9),
    (3, 11, 15, 1, 1),
    (64, 0, 4, 2, 1),
]
EXTREME_PX = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 0.49999997, -0.50000006, 9.0, -9.0, 1e9, -3e38, 3e38]
"""Offsets at the edges of fine and camera pixels, just beside them, and far outside."""


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> ModuleType:
    """``compute.gpu`` over a GPU's CuPy or over the one of the host."""
    kernels_there: ModuleType = request.getfixturevalue(f"on_{request.param}")
    return kernels_there


@pytest.fixture
def on_host() -> Iterator[ModuleType]:
    with cupy_on_host.installed() as module:
        yield module


@pytest.fixture
def on_gpu() -> ModuleType:
    return importlib.import_module("smlm_pipeline.compute.gpu")


def _detections(shape: tuple[int, int, int], *, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    count, height, width = shape
    found = rng.uniform(-1.2, 1.2, (count, 5, height, width)).astype(np.float32)
    found[:, 0] = rng.random((count, height, width), np.float32) ** 8  # mostly near zero
    found[0, 1:3].flat[: len(EXTREME_PX)] = EXTREME_PX
    found[0, 0].flat[:6] = [0, 1, 0.5 / contract.WEIGHT_ONE, 1.5 / contract.WEIGHT_ONE, 1e-40, -0.0]
    return found


def _window(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("frames", [1, 5])
def test_draw(device: ModuleType, window: tuple[int, ...], frames: int) -> None:
    found = _detections((frames, 12, 16), seed=frames)
    expected = draw(found, _window(*window))
    assert expected.any()
    image = device.draw(device.cupy.asarray(found), _window(*window))
    assert image.dtype == expected.dtype
    np.testing.assert_array_equal(image, expected)


@pytest.mark.gpu
def test_draw_of_a_whole_chunk(on_gpu: ModuleType) -> None:
    """Many blocks at once, all of whose detections meet in few fine pixels."""
    found = _detections((64, 128, 128), seed=0)
    found[:, 1:3] = np.round(found[:, 1:3])
    window = _window(8, 0, 0, 128, 128)
    image = on_gpu.draw(on_gpu.cupy.asarray(found), window)
    np.testing.assert_array_equal(image, draw(found, window))


@pytest.mark.parametrize("window", [(8, 0, 0, 12, 16), (8, 3, 2, 7, 9), (8, 11, 15, 1, 1)])
@pytest.mark.parametrize("frames", [1, 3])
def test_sum_map(device: ModuleType, window: tuple[int, ...], frames: int) -> None:
    rng = np.random.default_rng(frames)
    maps = rng.normal(0, 1, (frames, 1, 96, 128)).astype(np.float32)
    most = np.nextafter(np.float32(2**15 / frames), np.float32(0), dtype=np.float32)
    maps[:, 0, 90, :6] = [most, -1e30, 0.5 / contract.WEIGHT_ONE, 1e-40, -0.0, 2.5]
    expected = sum_map(maps, _window(*window))
    assert expected.any()
    image = device.sum_map(device.cupy.asarray(maps), _window(*window))
    assert image.dtype == expected.dtype
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 20, 24)])
def test_normalize(device: ModuleType, shape: tuple[int, int, int]) -> None:
    frames_adu = spots_adu(*shape)
    frames_adu.flat[:3] = [0, 65535, 1]
    levels_adu = np.broadcast_to(np.array([100.1, 3.3], np.float32), (shape[0], 2)).copy()
    levels_adu[-1] = [0, 1e-40]
    with np.errstate(over="ignore"):
        expected = normalize(frames_adu, levels_adu)
    made = device.normalize(frames_adu, levels_adu)
    assert isinstance(made, device.cupy.ndarray)
    np.testing.assert_array_equal(made.get(), expected)
    again = device.normalize(device.cupy.asarray(frames_adu), levels_adu)
    np.testing.assert_array_equal(again.get(), expected)


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_detections_that_make_no_sense(device: ModuleType, channel: int, value: float) -> None:
    found = np.zeros((2, 5, 4, 4), np.float32)
    found[1, channel, 2, 3] = value
    _same_refusal(device, "draw", found, _window(8, 0, 0, 4, 4))
    assert not device.draw(device.cupy.asarray(found), _window(8, 0, 0, 2, 4)).any()


@pytest.mark.parametrize("probability", [-0.01, 1.0000001, 3e38])
def test_probabilities_out_of_range(device: ModuleType, probability: float) -> None:
    found = np.zeros((1, 5, 4, 4), np.float32)
    found[0, 0, 1, 1] = probability
    _same_refusal(device, "draw", found, _window(2, 0, 0, 4, 4))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 16384, 3e38])
def test_maps_that_make_no_sense(device: ModuleType, value: float) -> None:
    maps = np.zeros((2, 1, 32, 32), np.float32)
    maps[1, 0, 9, 3] = value
    _same_refusal(device, "sum_map", maps, _window(8, 0, 0, 4, 4))


@pytest.mark.parametrize(
    ("name", "found", "window"),
    [
        ("draw", np.zeros((1, 5, 4, 4), np.float32), _window(8, 0, 0, 5, 4)),
        ("draw", np.zeros((1, 5, 4, 4), np.float32), _window(65, 0, 0, 4, 4)),
        ("sum_map", np.zeros((1, 1, 32, 32), np.float32), _window(5, 0, 0, 4, 4)),
        ("sum_map", np.zeros((1, 1, 32, 32), np.float32), _window(8, 0, 0, 4, 5)),
    ],
)
def test_windows_that_do_not_fit(
    device: ModuleType, name: str, found: NDArray[np.float32], window: NDArray[np.int32]
) -> None:
    _same_refusal(device, name, found, window)


def test_levels_that_make_no_sense(device: ModuleType) -> None:
    frames = np.zeros((1, 4, 4), np.uint16)
    with pytest.raises(ChunkError, match="LEVELS must be finite with a positive scale"):
        device.normalize(frames, np.zeros((1, 2), np.float32))
    with pytest.raises(ChunkError, match="is 4 x 5 pixels; expected multiples of 4"):
        device.normalize(frames[..., [0, 1, 2, 3, 3]], np.ones((1, 2), np.float32))


def test_one_copy_reaches_the_host(on_host: ModuleType) -> None:
    """The image and one flag of four bytes, whatever the number of frames."""
    for frames in (1, 5):
        cupy_on_host.copies.clear()
        found = on_host.cupy.asarray(_detections((frames, 12, 16), seed=1))
        image = on_host.draw(found, _window(8, 0, 0, 12, 16))
        assert cupy_on_host.copies == [image.nbytes + on_host.FLAG_BYTES]


def test_the_grid_strides_over_what_it_does_not_cover(
    on_host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_host, "BLOCKS_MOST", 1)
    monkeypatch.setattr(on_host, "THREADS", 7)
    found = _detections((3, 12, 16), seed=2)
    image = on_host.draw(on_host.cupy.asarray(found), _window(8, 0, 0, 12, 16))
    np.testing.assert_array_equal(image, draw(found, _window(8, 0, 0, 12, 16)))


def _same_refusal(device: ModuleType, name: str, found: Any, window: NDArray[np.int32]) -> None:
    with pytest.raises(ChunkError) as expected:
        getattr(host_drawing, name)(found, window)
    with pytest.raises(ChunkError) as refused:
        getattr(device, name)(device.cupy.asarray(found), window)
    assert str(refused.value) == str(expected.value)
