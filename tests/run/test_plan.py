"""The plan of a run: pure, frozen, and refused where it cannot be executed."""

from __future__ import annotations

import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from smlm_pipeline import contract
from smlm_pipeline.compute.bounds import check_frames
from smlm_pipeline.errors import SettingError
from smlm_pipeline.run import memory_budget
from smlm_pipeline.run.plan import HALF_PARTS, RunPlan, fitted_plan, plan_run
from smlm_pipeline.settings import IN_FLIGHT_FIRST, IN_FLIGHT_MOST, Settings

MUCH = 1 << 40

PLAIN = Settings(refine="off")


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
    plan = _plan(_Size(50, 300, 200), Settings(refine="off", chunk_frames=15, zoom=4), 2 << 30)
    assert len(plan.chunks) == 4
    assert plan.whole_frames(plan.chunks) == pytest.approx(50)
    assert (plan.chunk_frames, plan.tile_px, plan.zoom) == (15, 512, 4)
    assert plan.memory_bytes == 2 << 30
    assert plan.canvas_in_memory
    assert plan.canvas_shape == (4 * 302, 4 * 202)
    assert plan.picture_edge_px == 8192


def test_the_sum_goes_to_a_file_where_memory_is_short() -> None:
    size, settings = _Size(64, 2048, 2048), PLAIN
    assert not _plan(size, settings, 1000 << 20).canvas_in_memory
    assert _plan(size, settings, 8 << 30).canvas_in_memory


def test_too_little_memory_is_refused() -> None:
    said = "memory is 100 MiB; frames of 32 x 32 pixels need at least .* MiB: raise --memory"
    with pytest.raises(SettingError, match=said):
        _plan(_Size(16, 32, 32), PLAIN, 100 << 20)


@pytest.mark.parametrize(
    ("zoom", "asked_px", "taken_px"),
    [(8, 512, 512), (22, 512, 512), (23, 512, 256), (64, 512, 128), (64, 180, 128), (64, 176, 176)],
)
def test_tiles_whose_image_would_be_too_large_are_cut_smaller(
    zoom: int, asked_px: int, taken_px: int
) -> None:
    plan = _plan(_Size(2, 600, 600), Settings(zoom=zoom, tile_px=asked_px))
    assert plan.tile_px == taken_px
    edges_px = {edge for c in plan.chunks for edge in (c.tile.y.read_size, c.tile.x.read_size)}
    assert max(edges_px) <= taken_px
    assert max(c.tile.window(zoom).size for c in plan.chunks) <= contract.MAX_IMAGE_PIXELS
    assert plan.whole_frames(plan.chunks) == pytest.approx(2)


@pytest.mark.parametrize("model", contract.ENSEMBLES)
@pytest.mark.parametrize("edge_px", [16, 64, 200, 600])
def test_every_chunk_of_a_plan_is_within_the_bounds_of_a_server(model: str, edge_px: int) -> None:
    """Also where the server asks for more than the contract allows."""
    answer = contract.ENSEMBLES[model].answer
    size, planned = _Size(3000, edge_px, edge_px), Settings(model=model)
    for request_pixels in (None, 1, answer.pixels_most):
        plan = plan_run(size, planned, MUCH, request_pixels=request_pixels)
        for chunk in plan.chunks[:50]:
            frames = (chunk.frame_count, chunk.tile.y.read_size, chunk.tile.x.read_size)
            check_frames(frames, (chunk.frame_count, 2), answer)


def test_maps_that_no_memory_would_hold_are_refused() -> None:
    """64 frames of 512 x 512 pixels: 2^24 camera pixels of 64 SR pixels of 4 bytes."""
    size = _Size(64, 512, 512)
    maps = Settings(model="reconstruction_map")
    assert len(_plan(size, maps).chunks) == 64
    larger = dataclasses.replace(maps, chunk_frames=8)
    said = "8 frames of 512 x 512 pixels; expected at most 2: choose a smaller --chunk-frames or"
    with pytest.raises(SettingError, match=said):
        _plan(size, larger)
    assert _plan(size, dataclasses.replace(larger, tile_px=256)).chunks
    assert _plan(size, Settings(refine="off", chunk_frames=8)).chunks
    with pytest.raises(SettingError, match="17 frames of 512 x 512 pixels; expected at most 16:"):
        _plan(size, Settings(refine="off", chunk_frames=17))


# --- requests as the server asks for them -----------------------------------------------------


@pytest.mark.parametrize(
    ("edge_px", "request_pixels", "frames"),
    [
        (64, None, 256),
        (64, 1 << 22, 1024),
        (64, 64 * 64 * 10 + 1, 10),
        (64, 1, 1),
        (62, 64 * 64 * 10, 10),  # tiles are padded
        (512, 1 << 22, 16),
        (2048, 1 << 22, 16),
        (16, 1 << 22, 1024),
    ],
)
def test_a_server_decides_the_frames_of_a_request(
    edge_px: int, request_pixels: int | None, frames: int
) -> None:
    size = _Size(5000, edge_px, edge_px)
    assert plan_run(size, PLAIN, MUCH, request_pixels=request_pixels).chunk_frames == frames


def test_the_user_decides_before_the_server() -> None:
    size, asked = _Size(5000, 64, 64), Settings(chunk_frames=7)
    assert plan_run(size, asked, MUCH, request_pixels=1 << 22).chunk_frames == 7
    first = _plan(size, asked)
    assert fitted_plan(first, size, asked, 1 << 22) == first


def test_a_plan_is_fitted_to_the_server() -> None:
    size = _Size(5000, 64, 64)
    first = _plan(size, PLAIN)
    assert fitted_plan(first, size, PLAIN, None) == first
    fitted = fitted_plan(first, size, PLAIN, 1 << 22)
    assert (first.chunk_frames, fitted.chunk_frames) == (256, 1024)
    assert fitted == plan_run(size, PLAIN, MUCH, request_pixels=1 << 22)


def test_a_server_cannot_ask_for_more_than_the_memory_holds() -> None:
    """Neither so that the run would not fit at all, nor so that the sum would have to move."""
    size, settings = _Size(1000, 2048, 2048), PLAIN
    kept, moved = 0, 0
    for mib in range(700, 6000, 50):
        try:
            first = _plan(size, settings, mib << 20)
        except SettingError:
            continue
        fitted = fitted_plan(first, size, settings, 1 << 22)
        assert fitted.canvas_in_memory == first.canvas_in_memory
        assert fitted.memory_bytes == mib << 20
        assert fitted.chunk_frames in (4, 16)
        kept += fitted == first
        moved += fitted != first
    assert kept
    assert moved


@pytest.mark.parametrize("servers", [1, 3])
def test_as_many_are_under_way_for_each_server(servers: int) -> None:
    size = _Size(4, 32, 32)
    limit = _plan(size, PLAIN).concurrency(lambda: servers)
    assert limit.limit == servers * IN_FLIGHT_FIRST
    assert limit.most == servers * IN_FLIGHT_MOST
    fixed = _plan(size, Settings(in_flight=5)).concurrency(lambda: servers)
    assert fixed.limit == fixed.most == 5


def test_memory_bounds_what_is_under_way_for_all_servers_together() -> None:
    plan = _plan(_Size(2, 512, 512), PLAIN, 800 << 20)
    few = plan.concurrency().most
    assert few < IN_FLIGHT_MOST
    assert plan.concurrency(lambda: 100).most == few


REFINED = Settings(refine="auto")


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 100, 5000])
@pytest.mark.parametrize("chunk_frames", [None, 3, 40])
def test_both_halves_of_a_film_get_frames(frames: int, chunk_frames: int | None) -> None:
    """In long parts by turns; a film of one frame has one half."""
    plan = _plan(_Size(frames, 64, 64), dataclasses.replace(REFINED, chunk_frames=chunk_frames))
    assert sum(chunk.frame_count for chunk in plan.chunks) == frames
    halves = [plan.half_of(chunk) for chunk in plan.chunks]
    changes = sum(half != following for half, following in itertools.pairwise(halves))
    assert halves[0] == 0
    assert changes <= 2 * HALF_PARTS
    if frames >= HALF_PARTS:
        assert changes >= HALF_PARTS - 1
        shares = [
            sum(chunk.frame_count for chunk in plan.chunks if plan.half_of(chunk) == half)
            for half in (0, 1)
        ]
        assert min(shares) >= 0.3 * frames


@pytest.mark.parametrize("frames", [1, 7, 16, 100, 5859])
def test_halves_do_not_depend_on_the_requests(frames: int) -> None:
    """So neither does the number of steps of a refinement."""

    def halves(chunk_frames: int | None, request_pixels: int | None = None) -> list[int]:
        settings = dataclasses.replace(REFINED, chunk_frames=chunk_frames)
        size = _Size(frames, 64, 64)
        plan = plan_run(size, settings, MUCH, request_pixels=request_pixels)
        return [plan.half_of(chunk) for chunk in plan.chunks for _ in range(chunk.frame_count)]

    expected = halves(None)
    assert len(expected) == frames
    for chunk_frames in (1, 3, 50):
        assert halves(chunk_frames) == expected
    assert halves(None, 1 << 22) == expected


def test_a_refined_film_has_a_plane_for_each_class_and_half() -> None:
    size = _Size(100, 300, 200)
    plain, refined = _plan(size, PLAIN), _plan(size, REFINED)
    assert plain.canvas_shape == (8 * 302, 8 * 202)
    assert refined.canvas_shape == (2 * contract.MAX_CLASSES * 8 * 302, 8 * 202)
    maps = dataclasses.replace(REFINED, model="reconstruction_map")
    assert _plan(size, maps).canvas_shape == plain.canvas_shape


def test_auto_refines_the_same_films_on_every_machine() -> None:
    for memory_bytes in (1 << 30, MUCH):
        assert _plan(_Size(64, 1024, 1024), REFINED, memory_bytes).refines
        assert not _plan(_Size(64, 1024, 1025), REFINED, memory_bytes).refines
        assert _plan(_Size(64, 1024, 1025), Settings(refine=1), memory_bytes).refines


def test_planes_go_to_a_file_sooner_than_one_sum() -> None:
    size = _Size(64, 1024, 1024)
    assert _plan(size, PLAIN, 3 << 30).canvas_in_memory
    assert not _plan(size, REFINED, 3 << 30).canvas_in_memory
    assert _plan(size, REFINED, 12 << 30).canvas_in_memory


def test_tiles_are_small_enough_for_the_images_of_all_classes() -> None:
    size = _Size(100, 512, 512)
    for settings in (Settings(refine="off", zoom=16), Settings(refine=2, zoom=16)):
        plan = _plan(size, settings)
        classes = plan.classes
        pixels = max(classes * chunk.tile.window(16).size for chunk in plan.chunks)
        assert pixels <= contract.MAX_IMAGE_PIXELS
    assert plan.tile_px < 512
