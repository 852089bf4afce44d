"""``compute.gpu`` gives the bits of the host: the same CUDA source, with and without a GPU.

Without one, the source is run by the host's compiler, thread by thread (``fakes/cupy_on_host``);
that NVIDIA's compiler takes it is in ``test_gpu_source.py``. The marker ``gpu`` runs it for real.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes import cupy_on_host
from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import PROBABILITY_MIN, Candidates, candidates
from smlm_pipeline.compute.draw import DRAWN_FROM, draw, sum_map
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ChunkError, DeviceError

BORDERS_PX = np.array([0.1, 0.15, 0.25], np.float32)
CORES_PX = [(0, 0, 12, 16), (3, 2, 7, 9), (11, 15, 1, 1), (0, 4, 12, 1)]
"""Top, left, height and width in a tile of 12 x 16 camera pixels."""

WHOLE = Window(8, 0, 0, 12, 16)

_WORD_BYTES = 4

examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


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


def _there(device: ModuleType, answers: NDArray[np.float32]) -> tuple[Any, Any]:
    """What computes on the GPU, and the answers on it."""
    on_device = device.cupy.asarray(answers)
    return device.gpu_of(on_device), on_device


def _draw(
    device: ModuleType,
    detections: NDArray[np.float32],
    window: Window | NDArray[np.int32],
    borders_px: NDArray[np.float32] = BORDERS_PX,
) -> SparseSums:
    gpu, on_device = _there(device, detections)
    sums: SparseSums = gpu.draw(on_device, _tensor(window), borders_px)
    return sums


def _drawn(detections: NDArray[np.float32], window: Window) -> SparseSums:
    """What the host draws."""
    return draw(detections, window.as_tensor(), BORDERS_PX)


def _sum_map(
    device: ModuleType, maps: NDArray[np.float32], window: Window | NDArray[np.int32]
) -> SparseSums:
    gpu, on_device = _there(device, maps)
    sums: SparseSums = gpu.sum_map(on_device, _tensor(window))
    return sums


def _candidates(device: ModuleType, detections: NDArray[np.float32]) -> Candidates:
    gpu, on_device = _there(device, detections)
    found: Candidates = gpu.candidates(on_device)
    return found


def _tensor(window: Window | NDArray[np.int32]) -> NDArray[np.int32]:
    return window.as_tensor() if isinstance(window, Window) else window


def _same(found: Any, expected: Any) -> None:
    """Every array of two dataclasses, to the bit and the type."""
    for name, values in vars(expected).items():
        assert getattr(found, name).dtype == values.dtype, name
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


def _detections(
    frames: int, height_px: int, width_px: int, *, seed: int, share: float = 0.2
) -> NDArray[np.float32]:
    """Detections with something in a share of the pixels, and nothing that counts elsewhere."""
    rng = np.random.default_rng(seed)
    shape = (frames, height_px, width_px)
    found = rng.uniform(-1, 1, (frames, 5, *shape[1:])).astype(np.float32)
    found[:, 0] = np.where(rng.random(shape) < share, rng.random(shape), DRAWN_FROM)
    found[:, 3:] = rng.choice([*BORDERS_PX, 0.05, 1e-30, 1e18], (frames, 2, *shape[1:]))
    nothing = np.broadcast_to((found[:, :1] <= DRAWN_FROM), found.shape) & (rng.random() < 0.5)
    nothing[:, 0] = False
    found[nothing] = np.nan
    return found


def _zeros(frames: int, height_px: int, width_px: int) -> NDArray[np.float32]:
    """No detection, of positive sigmas."""
    found = np.zeros((frames, 5, height_px, width_px), np.float32)
    found[:, 3:] = 1
    return found


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
    found = _detections(frames, *tile_px, seed=seed, share=share)
    expected = _drawn(found, window)
    _same(_draw(device, found, window), expected)


@pytest.mark.parametrize("zoom", [1, 2, 3, 7, 8, 10, 31, 64])
def test_offsets_at_the_edges_of_sr_pixels(device: ModuleType, zoom: int) -> None:
    edges = np.linspace(-1, 1, 16 * 8 + 1, dtype=np.float32)
    beside = [np.nextafter(edges, np.float32(to), dtype=np.float32) for to in (-1, 1)]
    offsets_px = np.unique(np.concatenate([edges, *beside, [np.float32(1e-40), np.float32(-0.0)]]))
    found = _zeros(len(offsets_px), 4, 4)
    found[:, 0, 1, 2] = 1
    found[:, 1, 1, 2], found[:, 2, 1, 2] = offsets_px, offsets_px[::-1]
    window = Window(zoom, 1, 1, 2, 3)
    expected = _drawn(found, window)
    assert expected.weight.sum() == len(offsets_px) * contract.WEIGHT_ONE
    _same(_draw(device, found, window), expected)


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_sigmas_at_the_borders_of_classes(device: ModuleType, classes: int) -> None:
    """A detection on a border is below it, and one that is wider by one bit is above."""
    around = [np.nextafter(BORDERS_PX, np.float32(to), dtype=np.float32) for to in (0, math.inf)]
    sigmas_px = np.concatenate([BORDERS_PX, *around])
    found = _zeros(len(sigmas_px), 4, 4)
    found[:, 0, 1, 1] = 1
    found[:, 3:, 1, 1] = sigmas_px[:, None]
    window = Window(2, 0, 0, 4, 4, classes)
    expected = _drawn(found, window)
    assert len(expected.index) == classes
    _same(_draw(device, found, window), expected)


def test_weights_are_rounded_to_even(device: ModuleType) -> None:
    half_units = np.arange(16, dtype=np.float32)
    found = _zeros(1, 4, 4)
    found[0, 0] = half_units.reshape(4, 4) / (2 * contract.WEIGHT_ONE)
    window = Window(1, 0, 0, 4, 4)
    expected = _drawn(found, window)
    assert expected.weight[:4].tolist() == [1, 2, 2, 2]  # of 1, 1.5, 2 and 2.5 units
    assert len(expected.weight) == 14
    _same(_draw(device, found, window), expected)


def test_every_sr_pixel_may_be_non_zero(device: ModuleType) -> None:
    """The margin and all classes too: as many entries as SR pixels."""
    shifts = list(product([-1, 0, 1], [-1, 0, 1], [0.05, 0.12, 0.2, 0.3]))
    found = np.ones((len(shifts), 5, 12, 16), np.float32)
    found[:, 1:3] = np.array([shift[:2] for shift in shifts])[:, :, None, None]
    found[:, 3:] = np.array([shift[2] for shift in shifts])[:, None, None, None]
    window = Window(1, 0, 0, 12, 16, classes=4)
    expected = _drawn(found, window)
    assert len(expected.index) == window.size
    _same(_draw(device, found, window), expected)


def test_the_largest_image(device: ModuleType) -> None:
    """The first and the last SR pixel of as many as a request may ask for."""
    window = Window(64, 0, 0, 62, 126, classes=4)
    assert window.size == contract.MAX_IMAGE_PIXELS
    found = _zeros(1, 64, 128)
    found[0, 0, 0, 0] = found[0, 0, 61, 125] = found[0, 0, 61, 124] = 1
    found[0, 1:3, 0, 0], found[0, 3:, 0, 0] = -1, 0.01
    found[0, 1:3, 61, 124:126] = 0.49
    sums = _draw(device, found, window)
    row = 128 * 64
    corner = 32 * row + 32
    last = window.size - 1 - (64 * row + 64)
    assert sums.index.tolist() == [corner, last - 64, last]
    assert sums.weight.tolist() == [contract.WEIGHT_ONE] * 3


@pytest.mark.gpu
def test_draw_of_a_whole_chunk(on_gpu: ModuleType) -> None:
    """Many blocks at once, all of whose detections meet in few SR pixels."""
    found = _detections(64, 256, 256, seed=0)
    found[:, 1:3] = np.nan_to_num(np.round(found[:, 1:3]))
    window = Window(8, 0, 0, 256, 256, classes=2)
    expected = _drawn(found, window)
    _same(_draw(on_gpu, found, window), expected)


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
    _same(_sum_map(device, maps, window), sum_map(maps, window.as_tensor()))


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
    found = _detections(frames, *size_px, seed=seed, share=share)
    _same(_candidates(device, found), candidates(found))


def test_a_candidate_has_the_least_probability_or_no_number(device: ModuleType) -> None:
    least = np.float32(PROBABILITY_MIN)
    below = np.nextafter(least, np.float32(0), dtype=np.float32)
    found = _zeros(2, 4, 4)
    found[1, 0, 2] = [below, least, math.nan, -1]
    expected = candidates(found)
    assert expected.column.tolist() == [1, 2]
    _same(_candidates(device, found), expected)


# --- what is refused ------------------------------------------------------------------------

NOT_PROBABILITIES = [math.nan, math.inf, -math.inf, -0.01, 1.0000001, 3e38]
NOT_OFFSETS = [math.nan, math.inf, -math.inf, 1.0000001, -1.0000001, 3e38]
NOT_SIGMAS = [math.nan, math.inf, -math.inf, 0.0, -0.0, -1e-40, 3e38]
INVALID = [
    *product([0], NOT_PROBABILITIES),
    *product([1, 2], NOT_OFFSETS),
    *product([3, 4], NOT_SIGMAS),
]


def _refused(work: Callable[[], object]) -> str:
    with pytest.raises(ChunkError) as refused:
        work()
    return str(refused.value)


@pytest.mark.parametrize(("channel", "value"), INVALID)
@pytest.mark.parametrize("probability", [1.0, float(DRAWN_FROM)])
@pytest.mark.parametrize("classes", [1, 2])
def test_an_invalid_detection_is_refused_where_the_host_refuses_it(
    device: ModuleType, channel: int, value: float, probability: float, classes: int
) -> None:
    """Nothing but the probability counts where nothing is drawn, nor sigmas for one class."""
    found = _zeros(2, 4, 4)
    found[1, 0, 2, 3] = probability
    found[1, channel, 2, 3] = value
    window = Window(8, 0, 0, 4, 4, classes)
    drawn = channel == 0 or probability > DRAWN_FROM
    if drawn and (channel < 3 or classes > 1):
        told = _refused(lambda: _drawn(found, window))
        assert _refused(lambda: _draw(device, found, window)) == told
    else:
        _same(_draw(device, found, window), _drawn(found, window))
    beside = Window(8, 0, 0, 2, 4, classes)
    assert not len(_draw(device, found, beside).index)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 16384, 3e38])
def test_an_invalid_map_is_refused(device: ModuleType, value: float) -> None:
    maps = np.zeros((2, 1, 32, 32), np.float32)
    maps[1, 0, 9, 3] = value
    window = Window(8, 0, 0, 4, 4)
    told = _refused(lambda: sum_map(maps, window.as_tensor()))
    assert _refused(lambda: _sum_map(device, maps, window)) == told
    assert not len(_sum_map(device, maps, Window(8, 0, 0, 1, 4)).index)


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
    found = _zeros(1, 4, 4)
    told = _refused(lambda: draw(found, _tensor(window), borders_px))
    assert _refused(lambda: _draw(device, found, window, borders_px)) == told
    assert not cupy_on_host.allocated


def test_an_image_beyond_the_largest_is_refused(device: ModuleType) -> None:
    window = Window(64, 0, 0, 63, 126, classes=4)
    told = _refused(lambda: _draw(device, _zeros(1, 64, 128), window))
    assert f"expected at most {contract.MAX_IMAGE_PIXELS}: choose a smaller zoom" in told
    assert not cupy_on_host.allocated


@pytest.mark.parametrize(
    "window", [Window(5, 0, 0, 4, 4), Window(8, 0, 0, 4, 5), Window(8, 0, 0, 4, 4, classes=2)]
)
def test_windows_that_maps_do_not_have_are_refused(device: ModuleType, window: Window) -> None:
    maps = np.zeros((1, 1, 32, 32), np.float32)
    told = _refused(lambda: sum_map(maps, window.as_tensor()))
    assert _refused(lambda: _sum_map(device, maps, window)) == told


# --- memory, copies, streams ----------------------------------------------------------------


def test_requests_of_all_kinds_and_sizes_do_not_disturb_each_other(device: ModuleType) -> None:
    """One after another in the same memory, and what was returned before is not overwritten."""
    small, large = _detections(2, 4, 4, seed=1), _detections(3, 24, 24, seed=2, share=1)
    invalid = np.full((1, 5, 12, 16), np.nan, np.float32)
    maps = np.random.default_rng(3).random((2, 1, 96, 128), np.float32)
    whole = Window(6, 0, 0, 24, 24, classes=3)
    kept: list[tuple[Any, Any]] = []
    for _ in range(2):
        corner = Window(9, 0, 0, 4, 3)
        kept.append((_draw(device, small, corner), _drawn(small, corner)))
        kept.append((_candidates(device, large), candidates(large)))
        _refused(lambda: _draw(device, invalid, WHOLE))
        kept.append((_draw(device, large, whole), _drawn(large, whole)))
        kept.append((_sum_map(device, maps, WHOLE), sum_map(maps, WHOLE.as_tensor())))
        kept.append((_candidates(device, small), candidates(small)))
    for found, expected in kept:
        _same(found, expected)


def test_memory_that_is_not_contiguous(device: ModuleType) -> None:
    found = _detections(3, 12, 16, seed=4)
    gpu, twice = _there(device, np.repeat(found, 2, axis=-1))
    every_second = twice[..., ::2]
    expected = _drawn(found, WHOLE)
    _same(gpu.draw(every_second, WHOLE.as_tensor(), BORDERS_PX), expected)
    _same(gpu.candidates(every_second), candidates(found))


def test_two_copies_reach_the_host(on_host: ModuleType) -> None:
    """The flag with a count a part; then place and sum of what is not zero, or its channels."""
    found = _detections(5, 12, 16, seed=5)
    gpu, on_device = _there(on_host, found)
    sums = gpu.draw(on_device, WHOLE.as_tensor(), BORDERS_PX)
    parts = math.ceil(WHOLE.size / on_host.PART)
    copies = [_WORD_BYTES * (1 + parts), _WORD_BYTES * 2 * len(sums.index)]
    assert cupy_on_host.copies == copies
    assert gpu.take_bytes_to_host() == sum(copies)
    entries = len(gpu.candidates(on_device).frame)
    assert cupy_on_host.copies[2:] == [_WORD_BYTES * 2, _WORD_BYTES * 6 * entries]
    assert gpu.take_bytes_to_host() == sum(cupy_on_host.copies[2:])
    assert gpu.take_bytes_to_host() == 0


def test_nothing_found_needs_one_copy(on_host: ModuleType) -> None:
    gpu, on_device = _there(on_host, _zeros(2, 4, 4))
    sums = gpu.draw(on_device, Window(8, 0, 0, 4, 4).as_tensor(), BORDERS_PX)
    assert (len(sums.index), len(sums.weight)) == (0, 0)
    assert cupy_on_host.copies == [_WORD_BYTES * (1 + 3)]


def test_memory_is_taken_once(on_host: ModuleType) -> None:
    """By the first request of a size, with room for slightly larger ones."""
    gpu, on_device = _there(on_host, _detections(3, 12, 16, seed=6))
    window = Window(8, 0, 0, 10, 14).as_tensor()

    def ask() -> None:
        gpu.draw(on_device, window, BORDERS_PX)

    ask()
    taken = sum(cupy_on_host.allocated), len(cupy_on_host.pinned)
    ask()
    window = Window(8, 0, 0, 11, 14).as_tensor()
    ask()
    assert (sum(cupy_on_host.allocated), len(cupy_on_host.pinned)) == taken


def test_a_gpu_that_is_full_refuses_one_request(
    on_host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cupy_on_host, "MEMORY_BYTES", 4 << 20)
    found = _detections(2, 12, 16, seed=9)
    with pytest.raises(DeviceError, match=r"has no 20 MiB left .* ask for a smaller zoom"):
        _draw(on_host, found, Window(64, 0, 0, 12, 16, classes=4))
    expected = _drawn(found, WHOLE)
    _same(_draw(on_host, found, WHOLE), expected)


def test_the_grid_strides_over_what_it_does_not_cover(
    on_host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_host, "BLOCKS_MOST", 1)
    monkeypatch.setattr(on_host, "THREADS", 7)
    monkeypatch.setattr(on_host, "PART", 5)
    found = _detections(3, 12, 16, seed=2)
    expected = _drawn(found, WHOLE)
    _same(_draw(on_host, found, WHOLE), expected)
    _same(_candidates(on_host, found), candidates(found))
    maps = np.random.default_rng(3).random((2, 1, 96, 128), np.float32)
    _same(_sum_map(on_host, maps, WHOLE), sum_map(maps, WHOLE.as_tensor()))


def test_each_gpu_has_its_own_stream_and_memory(on_host: ModuleType) -> None:
    found = _detections(2, 12, 16, seed=8, share=0.5)
    first, _ = _there(on_host, found)
    with on_host.cupy.cuda.Device(1):
        second, on_second = _there(on_host, found)
    assert first is not second
    assert _there(on_host, found)[0] is first
    expected = _drawn(found, WHOLE)
    _same(_draw(on_host, found, WHOLE), expected)
    _same(second.draw(on_second, WHOLE.as_tensor(), BORDERS_PX), expected)
