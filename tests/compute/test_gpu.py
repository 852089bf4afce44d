"""``compute.gpu`` gives the bits of the host: the same CUDA source, with and without a GPU.

Without one, the source is run by the host's compiler, thread by thread (``fakes/cupy_on_host``);
that NVIDIA's compiler takes it is in ``test_gpu_source.py``. The marker ``gpu`` runs it for real.
"""

from __future__ import annotations

import math
from itertools import product
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes import cupy_on_host
from fakes.gpu_requests import (
    BORDERS_PX,
    CORES_PX,
    candidates_there,
    detections,
    draw_there,
    drawn,
    refused,
    same,
    sum_map_there,
    tensor,
    zeros,
)
from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import PROBABILITY_MIN, candidates
from smlm_pipeline.compute.draw import DRAWN_FROM, draw, sum_map
from smlm_pipeline.compute.window import Window

examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# --- drawing --------------------------------------------------------------------------------


@st.composite
def _windows(draw_one: st.DrawFn) -> tuple[tuple[int, int], Window]:
    """A tile's height and width, and what is asked of it: at most about 200,000 SR pixels."""
    height_px, width_px = (4 * draw_one(st.integers(1, 6)) for _ in range(2))
    top_px, left_px = (draw_one(st.integers(0, size - 1)) for size in (height_px, width_px))
    core_px = (
        draw_one(st.integers(1, height_px - top_px)),
        draw_one(st.integers(1, width_px - left_px)),
    )
    classes = draw_one(st.integers(1, contract.MAX_CLASSES))
    zoom_most = math.isqrt(200_000 // (classes * (core_px[0] + 2) * (core_px[1] + 2)))
    zoom = draw_one(st.integers(1, min(zoom_most, contract.MAX_ZOOM)))
    return (height_px, width_px), Window(zoom, top_px, left_px, *core_px, classes)


@examples
@given(
    asked=_windows(),
    frames=st.integers(1, 5),
    share=st.sampled_from([0, 0.01, 0.3, 1]),
    seed=st.integers(0, 1 << 16),
)
def test_drawing_gives_the_bits_of_the_host(
    device: ModuleType,
    asked: tuple[tuple[int, int], Window],
    frames: int,
    share: float,
    seed: int,
) -> None:
    tile_px, window = asked
    found = detections(frames, *tile_px, seed=seed, share=share)
    expected = drawn(found, window)
    same(draw_there(device, found, window), expected)


@pytest.mark.parametrize("zoom", [1, 2, 3, 7, 8, 10, 31, 64])
def test_offsets_at_the_edges_of_sr_pixels(device: ModuleType, zoom: int) -> None:
    edges = np.linspace(-1, 1, 16 * 8 + 1, dtype=np.float32)
    beside = [np.nextafter(edges, np.float32(to), dtype=np.float32) for to in (-1, 1)]
    offsets_px = np.unique(np.concatenate([edges, *beside, [np.float32(1e-40), np.float32(-0.0)]]))
    found = zeros(len(offsets_px), 4, 4)
    found[:, 0, 1, 2] = 1
    found[:, 1, 1, 2], found[:, 2, 1, 2] = offsets_px, offsets_px[::-1]
    window = Window(zoom, 1, 1, 2, 3)
    expected = drawn(found, window)
    assert expected.weight.sum() == len(offsets_px) * contract.WEIGHT_ONE
    same(draw_there(device, found, window), expected)


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_sigmas_at_the_borders_of_classes(device: ModuleType, classes: int) -> None:
    """A detection on a border is below it, and one that is wider by one bit is above."""
    around = [np.nextafter(BORDERS_PX, np.float32(to), dtype=np.float32) for to in (0, math.inf)]
    sigmas_px = np.concatenate([BORDERS_PX, *around])
    found = zeros(len(sigmas_px), 4, 4)
    found[:, 0, 1, 1] = 1
    found[:, 3:, 1, 1] = sigmas_px[:, None]
    window = Window(2, 0, 0, 4, 4, classes)
    expected = drawn(found, window)
    assert len(expected.index) == classes
    same(draw_there(device, found, window), expected)


def test_weights_are_rounded_to_even(device: ModuleType) -> None:
    half_units = np.arange(200, 216, dtype=np.float32)
    found = zeros(1, 4, 4)
    found[0, 0] = half_units.reshape(4, 4) / (2 * contract.WEIGHT_ONE)
    window = Window(1, 0, 0, 4, 4)
    expected = drawn(found, window)
    assert expected.weight[:4].tolist() == [100, 100, 101, 102]  # of 100, 100.5, 101, 101.5 units
    assert len(expected.weight) == 16
    same(draw_there(device, found, window), expected)


def test_every_sr_pixel_may_be_non_zero(device: ModuleType) -> None:
    """The margin and all classes too: as many entries as SR pixels."""
    shifts = list(product([-1, 0, 1], [-1, 0, 1], [0.05, 0.12, 0.2, 0.3]))
    found = np.ones((len(shifts), 7, 12, 16), np.float32)
    found[:, 1:3] = np.array([shift[:2] for shift in shifts])[:, :, None, None]
    found[:, 3:] = np.array([shift[2] for shift in shifts])[:, None, None, None]
    window = Window(1, 0, 0, 12, 16, classes=4)
    expected = drawn(found, window)
    assert len(expected.index) == window.size
    same(draw_there(device, found, window), expected)


def test_the_largest_image(device: ModuleType) -> None:
    """The first and the last SR pixel of as many as a request may ask for."""
    window = Window(64, 0, 0, 62, 126, classes=4)
    assert window.size == contract.MAX_IMAGE_PIXELS
    found = zeros(1, 64, 128)
    found[0, 0, 0, 0] = found[0, 0, 61, 125] = found[0, 0, 61, 124] = 1
    found[0, 1:3, 0, 0], found[0, 3:, 0, 0] = -1, 0.01
    found[0, 1:3, 61, 124:126] = 0.49
    sums = draw_there(device, found, window)
    row = 128 * 64
    corner = 32 * row + 32
    last = window.size - 1 - (64 * row + 64)
    assert sums.index.tolist() == [corner, last - 64, last]
    assert sums.weight.tolist() == [contract.WEIGHT_ONE] * 3


@pytest.mark.gpu
def test_draw_of_a_whole_chunk(on_gpu: ModuleType) -> None:
    """Many blocks at once, all of whose detections meet in few SR pixels."""
    found = detections(64, 256, 256, seed=0)
    found[:, 1:3] = np.nan_to_num(np.round(found[:, 1:3]))
    window = Window(8, 0, 0, 256, 256, classes=2)
    expected = drawn(found, window)
    same(draw_there(on_gpu, found, window), expected)


# --- maps -----------------------------------------------------------------------------------


@examples
@given(
    core_px=st.sampled_from(CORES_PX),
    frames=st.integers(1, 3),
    share=st.sampled_from([0, 0.01, 1]),
    seed=st.integers(0, 1 << 16),
)
def test_maps_give_the_bits_of_the_host(
    device: ModuleType, core_px: tuple[int, int, int, int], frames: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, 1, (frames, 1, 96, 128)).astype(np.float32)
    maps *= rng.random(maps.shape) < share
    most = np.nextafter(np.float32(2**15 / frames), np.float32(0), dtype=np.float32)
    maps[:, 0, 90, :6] = [most, -1e30, 0.5 / contract.WEIGHT_ONE, 1e-40, -0.0, 2.5]
    window = Window(8, *core_px)
    same(sum_map_there(device, maps, window), sum_map(maps, window.as_tensor()))


# --- candidates -----------------------------------------------------------------------------


@examples
@given(
    frames=st.integers(1, 5),
    size_px=st.tuples(*[st.sampled_from([4, 8, 20])] * 2),
    share=st.sampled_from([0, 0.01, 0.3, 1]),
    seed=st.integers(0, 1 << 16),
)
def test_candidates_are_those_of_the_host(
    device: ModuleType, frames: int, size_px: tuple[int, int], share: float, seed: int
) -> None:
    found = detections(frames, *size_px, seed=seed, share=share)
    same(candidates_there(device, found), candidates(found))


def test_a_candidate_has_the_least_probability_or_no_number(device: ModuleType) -> None:
    least = np.float32(PROBABILITY_MIN)
    below = np.nextafter(least, np.float32(0), dtype=np.float32)
    found = zeros(2, 4, 4)
    found[1, 0, 2] = [below, least, math.nan, -1]
    expected = candidates(found)
    assert expected.column.tolist() == [1, 2]
    same(candidates_there(device, found), expected)


# --- what is refused ------------------------------------------------------------------------

NOT_PROBABILITIES = [math.nan, math.inf, -math.inf, -0.01, 1.0000001, 3e38]
NOT_OFFSETS = [math.nan, math.inf, -math.inf, 1.0000001, -1.0000001, 3e38]
NOT_SIGMAS = [math.nan, math.inf, -math.inf, 0.0, -0.0, -1e-40, 3e38]
INVALID = [
    *product([0], NOT_PROBABILITIES),
    *product([1, 2], NOT_OFFSETS),
    *product([3, 4], NOT_SIGMAS),
]


@pytest.mark.parametrize(("channel", "value"), INVALID)
@pytest.mark.parametrize("probability", [1.0, float(DRAWN_FROM)])
@pytest.mark.parametrize("classes", [1, 2])
def test_an_invalid_detection_is_refused_where_the_host_refuses_it(
    device: ModuleType, channel: int, value: float, probability: float, classes: int
) -> None:
    """Nothing but the probability counts where nothing is drawn, nor sigmas for one class."""
    found = zeros(2, 4, 4)
    found[1, 0, 2, 3] = probability
    found[1, channel, 2, 3] = value
    window = Window(8, 0, 0, 4, 4, classes)
    counts = channel == 0 or probability > DRAWN_FROM
    if counts and (channel < 3 or classes > 1):
        message = refused(lambda: drawn(found, window))
        assert refused(lambda: draw_there(device, found, window)) == message
    else:
        same(draw_there(device, found, window), drawn(found, window))
    beside = Window(8, 0, 0, 2, 4, classes)
    assert not len(draw_there(device, found, beside).index)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 16384, 3e38])
def test_an_invalid_map_is_refused(device: ModuleType, value: float) -> None:
    maps = np.zeros((2, 1, 32, 32), np.float32)
    maps[1, 0, 9, 3] = value
    window = Window(8, 0, 0, 4, 4)
    told = refused(lambda: sum_map(maps, window.as_tensor()))
    assert refused(lambda: sum_map_there(device, maps, window)) == told
    assert not len(sum_map_there(device, maps, Window(8, 0, 0, 1, 4)).index)


@pytest.mark.parametrize(
    ("window", "borders_px"),
    [
        (Window(8, 0, 0, 5, 4), BORDERS_PX),
        (Window(65, 0, 0, 4, 4), BORDERS_PX),
        (Window(8, 0, 0, 4, 4, classes=5), BORDERS_PX),
        (Window(8, 0, 0, 4, 4, classes=3), BORDERS_PX[::-1].copy()),
        (Window(8, 0, 0, 4, 4), BORDERS_PX[:2]),
        (Window(8, 0, 0, 4, 4).as_tensor()[:5], BORDERS_PX),
    ],
)
def test_what_is_out_of_the_contract_is_refused_before_memory_is_spent(
    device: ModuleType, window: Window | NDArray[np.int32], borders_px: NDArray[np.float32]
) -> None:
    found = zeros(1, 4, 4)
    told = refused(lambda: draw(found, tensor(window), borders_px))
    assert refused(lambda: draw_there(device, found, window, borders_px)) == told
    assert not cupy_on_host.allocated


def test_an_image_beyond_the_largest_is_refused(device: ModuleType) -> None:
    window = Window(64, 0, 0, 63, 126, classes=4)
    told = refused(lambda: draw_there(device, zeros(1, 64, 128), window))
    assert f"expected at most {contract.MAX_IMAGE_PIXELS}: choose a smaller zoom" in told
    assert not cupy_on_host.allocated


@pytest.mark.parametrize(
    "window", [Window(5, 0, 0, 4, 4), Window(8, 0, 0, 4, 5), Window(8, 0, 0, 4, 4, classes=2)]
)
def test_windows_that_maps_do_not_have_are_refused(device: ModuleType, window: Window) -> None:
    maps = np.zeros((1, 1, 32, 32), np.float32)
    told = refused(lambda: sum_map(maps, window.as_tensor()))
    assert refused(lambda: sum_map_there(device, maps, window)) == told
