"""The kernels of a GPU, compared and timed over the CuPy of the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from fakes import cupy_on_host
from smlm_bench.gpu import kernels
from smlm_bench.gpu.kernels import DRAWN_SHARE, measure
from smlm_pipeline import contract

STEPS = ("draw, classes: 1", "draw, classes: 4", "candidates")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(kernels, "REPEATS", 2)
    with cupy_on_host.installed() as module:
        yield module


def test_all_steps_are_compared_and_timed(gpu: ModuleType) -> None:
    speeds = measure([16], [1, 3], zoom=4)
    of_detections = [(step, frames) for frames in (1, 3) for step in STEPS]
    expected = [*of_detections, ("sum_map", 1), ("sum_map", 3)]
    assert [(each.kernel, each.frames) for each in speeds] == expected
    assert all(each.same_bits for each in speeds)
    assert all(each.frames_per_s > 0 for each in speeds)
    # Of the map all SR pixels come back, place and sum, with the flag and a count each 1024.
    parts = -(-((18 * 8) ** 2) // gpu.PART)
    assert speeds[-1].bytes_to_host_per_frame == (8 * (16 * 8) ** 2 + 4 * (1 + parts)) / 3


def test_other_bits_are_noticed(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = gpu.Gpu.draw

    def one_unit_more(*arguments: object) -> object:
        sums = draw(*arguments)
        return dataclasses.replace(sums, weight=sums.weight + 1)

    monkeypatch.setattr(gpu.Gpu, "draw", one_unit_more)
    speeds = measure([16], [1], zoom=4)
    assert [each.kernel for each in speeds if not each.same_bits] == [*STEPS[:2]]


def test_frames_of_a_chunk_are_as_many_as_the_contract_allows(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract.Answer, "frames_most", lambda *_: 2)
    speeds = measure([16], [1, 5, 9], zoom=4)
    assert {each.frames for each in speeds} == {1, 2}
    assert len(speeds) == 8


def test_chunks_are_as_dense_as_dense_films() -> None:
    """Detections of 32 frames at random places of 64 SR pixels a camera pixel."""
    assert 1 - np.exp(-32 * DRAWN_SHARE / 64) == pytest.approx(0.11, abs=0.002)
