"""Settings: sensible by default, closed, and refused where they make no sense."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from typing import Any

import pytest

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.settings import Settings, frames_per_chunk


def test_defaults_make_sense() -> None:
    defaults = Settings()
    assert defaults.zoom == 8
    assert defaults.tile_px in contract.TILE_SIZES_PX


@pytest.mark.parametrize(
    ("height_px", "width_px", "tile_px", "frames"),
    [
        (16, 16, 512, 1024),  # the most
        (64, 64, 512, 256),
        (256, 256, 512, 16),
        (256, 512, 512, 8),
        (512, 512, 512, 4),
        (2048, 2048, 512, 4),  # tiles are what is sent
        (2048, 64, 256, 64),
    ],
)
def test_frames_per_chunk_by_default(
    height_px: int, width_px: int, tile_px: int, frames: int
) -> None:
    defaults = Settings(tile_px=tile_px)
    assert frames_per_chunk(defaults, height_px, width_px) == frames


def test_frames_per_chunk_as_given() -> None:
    assert frames_per_chunk(Settings(chunk_frames=5), 2048, 2048) == 5
    assert frames_per_chunk(Settings(chunk_frames=5), 64, 64, request_pixels=1 << 22) == 5


@pytest.mark.parametrize(("model", "most"), [("reconstruction", 1024), ("reconstruction_map", 128)])
def test_frames_per_chunk_as_the_server_asks(model: str, most: int) -> None:
    """Up to the contract's bound."""
    settings = Settings(model=model)
    for pixels, frames in ((1 << 24, most), (1 << 18, 64), (64 * 64 * 3 - 1, 2), (1, 1)):
        assert frames_per_chunk(settings, 64, 64, request_pixels=pixels) == frames


@pytest.mark.parametrize(
    ("field", "name", "low", "high"),
    [
        ("zoom", "zoom", 1, 64),
        ("chunk_frames", "chunk-frames", 1, contract.MAX_FRAMES),
        ("tile_px", "tile", contract.TILE_SIZES_PX[0], contract.TILE_SIZES_PX[-1]),
        ("in_flight", "in-flight", 1, 64),
        ("memory_bytes", "memory", 64 << 20, 1 << 50),
        ("attempts", "attempts", 1, 100),
        ("timeout_s", "timeout-s", 1, 86_400),
        ("level_frames", "level-frames", 1, 10_000),
    ],
)
def test_range_of_each_setting(field: str, name: str, low: int, high: int) -> None:
    def changed(value: int) -> Settings:
        settings: dict[str, Any] = {field: value}
        return Settings(**settings)

    for value in (low, high):
        assert getattr(changed(value), field) == value
    for value in (low - 1, high + 1, -1):
        expected = f"{name} is {value}; expected a whole number from {low} to {high}"
        with pytest.raises(SettingError, match=expected):
            changed(value)


@pytest.mark.parametrize(
    ("height_px", "width_px", "frames"),
    [(64, 64, 64), (128, 128, 16), (256, 256, 4), (512, 512, 1)],
)
def test_maps_are_large_so_their_chunks_are_small(
    height_px: int, width_px: int, frames: int
) -> None:
    """64 MiB of maps: 256 bytes per camera pixel."""
    maps = Settings(model="reconstruction_map")
    assert frames_per_chunk(maps, height_px, width_px) == frames
    assert 256 * frames * height_px * width_px <= 64 << 20


@pytest.mark.parametrize("zoom", [1, 5, 16])
def test_a_map_has_the_zoom_it_was_trained_for(zoom: int) -> None:
    assert Settings(model="reconstruction", zoom=zoom).zoom == zoom
    told = rf"zoom is {zoom}; expected 8, the zoom of reconstruction_map: leave out --zoom"
    with pytest.raises(SettingError, match=told):
        Settings(model="reconstruction_map", zoom=zoom)


@pytest.mark.parametrize("tile_px", [66, 101, 511])
def test_tile_that_the_network_cannot_halve_is_refused(tile_px: int) -> None:
    with pytest.raises(SettingError, match=f"tile is {tile_px} pixels; expected a multiple of 4"):
        Settings(tile_px=tile_px)


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="zoom"):
        Settings().zoom = 4  # type: ignore[misc]


def test_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="zooom"):
        Settings(zooom=4)  # type: ignore[call-arg]


def test_each_setting_is_explained() -> None:
    """A docstring stands under every field."""
    (tree,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(tree, ast.ClassDef)
    explained = [
        before.target.id
        for before, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and str(after.value.value).endswith(".")
    ]
    assert explained == [field.name for field in dataclasses.fields(Settings)]


def test_each_setting_has_a_range() -> None:
    """But for a yes or no."""
    source = inspect.getsource(Settings.__post_init__)
    for field in dataclasses.fields(Settings):
        assert field.type == "bool" or f"self.{field.name}" in source
