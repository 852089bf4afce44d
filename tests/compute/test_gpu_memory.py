"""``compute.gpu`` keeps its memory and stream, and copies to the host only what is found."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fakes import cupy_on_host
from fakes.gpu_requests import (
    BORDERS_PX,
    WHOLE,
    candidates_there,
    detections,
    draw_there,
    drawn,
    refused,
    same,
    sum_map_there,
    there,
    zeros,
)
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import sum_map
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import DeviceError

_WORD_BYTES = 4


def test_requests_of_all_kinds_and_sizes_do_not_disturb_each_other(device: ModuleType) -> None:
    """One after another in the same memory, and what was returned before is not overwritten."""
    small, large = detections(2, 4, 4, seed=1), detections(3, 24, 24, seed=2, share=1)
    invalid = np.full((1, 7, 12, 16), np.nan, np.float32)
    maps = np.random.default_rng(3).random((2, 1, 96, 128), np.float32)
    whole = Window(6, 0, 0, 24, 24, classes=3)
    kept: list[tuple[Any, Any]] = []
    for _ in range(2):
        corner = Window(9, 0, 0, 4, 3)
        kept.append((draw_there(device, small, corner), drawn(small, corner)))
        kept.append((candidates_there(device, large), candidates(large)))
        refused(lambda: draw_there(device, invalid, WHOLE))
        kept.append((draw_there(device, large, whole), drawn(large, whole)))
        kept.append((sum_map_there(device, maps, WHOLE), sum_map(maps, WHOLE.as_tensor())))
        kept.append((candidates_there(device, small), candidates(small)))
    for found, expected in kept:
        same(found, expected)


def test_memory_that_is_not_contiguous(device: ModuleType) -> None:
    found = detections(3, 12, 16, seed=4)
    gpu, twice = there(device, np.repeat(found, 2, axis=-1))
    every_second = twice[..., ::2]
    expected = drawn(found, WHOLE)
    same(gpu.draw(every_second, WHOLE.as_tensor(), BORDERS_PX), expected)
    same(gpu.candidates(every_second), candidates(found))


def test_two_copies_reach_the_host(on_host: ModuleType) -> None:
    """The flag with a count a part; then place and sum of what is not zero, or its channels."""
    found = detections(5, 12, 16, seed=5)
    gpu, on_device = there(on_host, found)
    sums = gpu.draw(on_device, WHOLE.as_tensor(), BORDERS_PX)
    parts = math.ceil(WHOLE.size / on_host.PART)
    copies = [_WORD_BYTES * (1 + parts), _WORD_BYTES * 2 * len(sums.index)]
    assert cupy_on_host.copies == copies
    assert gpu.take_bytes_to_host() == sum(copies)
    entries = len(gpu.candidates(on_device).frame)
    assert cupy_on_host.copies[2:] == [_WORD_BYTES * 2, _WORD_BYTES * 8 * entries]
    assert gpu.take_bytes_to_host() == sum(cupy_on_host.copies[2:])
    assert gpu.take_bytes_to_host() == 0


def test_nothing_found_needs_one_copy(on_host: ModuleType) -> None:
    gpu, on_device = there(on_host, zeros(2, 4, 4))
    sums = gpu.draw(on_device, Window(8, 0, 0, 4, 4).as_tensor(), BORDERS_PX)
    assert (len(sums.index), len(sums.weight)) == (0, 0)
    assert cupy_on_host.copies == [_WORD_BYTES * (1 + 3)]


def test_memory_is_taken_once(on_host: ModuleType) -> None:
    """By the first request of a size, with room for slightly larger ones."""
    gpu, on_device = there(on_host, detections(3, 12, 16, seed=6))
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
    found = detections(2, 12, 16, seed=9)
    with pytest.raises(DeviceError, match=r"has no 20 MiB left .* ask for a smaller zoom"):
        draw_there(on_host, found, Window(64, 0, 0, 12, 16, classes=4))
    expected = drawn(found, WHOLE)
    same(draw_there(on_host, found, WHOLE), expected)


def test_the_grid_strides_over_what_it_does_not_cover(
    on_host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_host, "BLOCKS_MOST", 1)
    monkeypatch.setattr(on_host, "THREADS", 7)
    monkeypatch.setattr(on_host, "PART", 5)
    found = detections(3, 12, 16, seed=2)
    expected = drawn(found, WHOLE)
    same(draw_there(on_host, found, WHOLE), expected)
    same(candidates_there(on_host, found), candidates(found))
    maps = np.random.default_rng(3).random((2, 1, 96, 128), np.float32)
    same(sum_map_there(on_host, maps, WHOLE), sum_map(maps, WHOLE.as_tensor()))


def test_each_gpu_has_its_own_stream_and_memory(on_host: ModuleType) -> None:
    found = detections(2, 12, 16, seed=8, share=0.5)
    first, _ = there(on_host, found)
    with on_host.cupy.cuda.Device(1):
        second, on_second = there(on_host, found)
    assert first is not second
    assert there(on_host, found)[0] is first
    expected = drawn(found, WHOLE)
    same(draw_there(on_host, found, WHOLE), expected)
    same(second.draw(on_second, WHOLE.as_tensor(), BORDERS_PX), expected)
