"""The plan of a run: pure, frozen, and refused where it cannot be executed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from smlm_pipeline.errors import SettingError
from smlm_pipeline.run import memory_budget
from smlm_pipeline.run.plan import RunPlan, plan_run
from smlm_pipeline.settings import IN_FLIGHT_FIRST, IN_FLIGHT_MOST, Settings

MUCH = 1 << 40


@dataclasses.dataclass
class _Size:
    frame_count: int
    height_px: int
    width_px: int
    decoded_bytes: int = 0


def _plan(size: _Size, settings: Settings, memory_bytes: int = MUCH) -> RunPlan:
    return plan_run(size, settings, memory_bytes)


def test_a_plan_reads_no_machine_and_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a plan is pure")

    monkeypatch.setattr(memory_budget, "machine_bytes", refuse)
    monkeypatch.setattr(os, "sysconf", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    size, settings = _Size(100, 300, 200), Settings(tile_px=128)
    plan = _plan(size, settings)
    assert plan == _plan(size, settings)
    assert hash(plan) == hash(_plan(size, settings))
    with pytest.raises(dataclasses.FrozenInstanceError, match="zoom"):
        plan.zoom = 2  # type: ignore[misc]


def test_a_plan_holds_all_that_a_run_needs() -> None:
    plan = _plan(_Size(100, 300, 200), Settings(chunk_frames=30, zoom=4), 2 << 30)
    assert len(plan.chunks) == 4
    assert plan.whole_frames(plan.chunks) == pytest.approx(100)
    assert (plan.chunk_frames, plan.tile_px, plan.zoom) == (30, 512, 4)
    assert plan.memory_bytes == 2 << 30
    assert plan.canvas_in_memory
    assert plan.canvas_shape == (4 * 302, 4 * 202)
    assert plan.picture_edge_px == 8192


def test_the_sum_goes_to_a_file_where_memory_is_short() -> None:
    size, settings = _Size(64, 2048, 2048), Settings()
    assert not _plan(size, settings, 1000 << 20).canvas_in_memory
    assert _plan(size, settings, 8 << 30).canvas_in_memory


def test_too_little_memory_is_refused() -> None:
    said = "memory is 100 MiB; frames of 32 x 32 pixels need at least .* MiB: raise --memory"
    with pytest.raises(SettingError, match=said):
        _plan(_Size(16, 32, 32), Settings(), 100 << 20)


def test_a_sum_that_cannot_travel_is_refused() -> None:
    size = _Size(2, 512, 512)
    with pytest.raises(SettingError, match="choose a smaller --zoom or --tile-px"):
        _plan(size, Settings(zoom=64))
    assert len(_plan(size, Settings(zoom=64, tile_px=128)).chunks) > 1


def test_maps_that_no_memory_would_hold_are_refused() -> None:
    """64 frames of 512 x 512 pixels: 2^24 camera pixels of 64 SR pixels of 4 bytes."""
    size = _Size(64, 512, 512)
    maps = Settings(model="reconstruction_map")
    assert len(_plan(size, maps).chunks) == 64
    larger = dataclasses.replace(maps, chunk_frames=64)
    said = "reconstruction_map makes maps of 4.0 GiB of one request; .* a smaller --chunk-frames or"
    with pytest.raises(SettingError, match=said):
        _plan(size, larger)
    assert _plan(size, dataclasses.replace(larger, tile_px=256)).chunks
    assert _plan(size, Settings(chunk_frames=64)).chunks


@pytest.mark.parametrize("servers", [1, 3])
def test_as_many_are_under_way_for_each_server(servers: int) -> None:
    size = _Size(4, 32, 32)
    limit = _plan(size, Settings()).concurrency(servers)
    assert limit.limit == servers * IN_FLIGHT_FIRST
    assert limit.most == servers * IN_FLIGHT_MOST
    fixed = _plan(size, Settings(in_flight=5)).concurrency(servers)
    assert fixed.limit == fixed.most == 5


def test_memory_bounds_what_is_under_way_for_all_servers_together() -> None:
    plan = _plan(_Size(2, 512, 512), Settings(), 800 << 20)
    few = plan.concurrency(1).most
    assert few < IN_FLIGHT_MOST
    assert plan.concurrency(100).most == few
