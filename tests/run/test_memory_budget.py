"""Memory is shared out so that a film fits, or it is said what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film import memory
from smlm_pipeline.run import memory_budget
from smlm_pipeline.run.memory_budget import MemoryBudget, parse_bytes
from smlm_pipeline.settings import Settings, frames_per_chunk

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 << 30),
        ("4g", 4 << 30),
        ("800 MiB", 800 * MIB),
        ("1.5GB", 3 << 29),
        ("100000K", 100000 << 10),
        ("12345", 12345),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "4 apples", "-1G", "4GiBs"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match="expected a size such as 4GiB or 800MiB"):
        parse_bytes(text)


def _budget(frames: int, edge_px: int, limit_bytes: int) -> MemoryBudget:
    return memory_budget.memory_budget(
        frames,
        edge_px,
        edge_px,
        chunk_frames=frames_per_chunk(Settings(), edge_px, edge_px),
        tile_px=Settings.tile_px,
        zoom=Settings.zoom,
        limit_bytes=limit_bytes,
    )


@pytest.mark.parametrize("edge_px", [64, 256, 1024, 2048])
def test_the_length_of_the_film_does_not_matter(edge_px: int) -> None:
    budgets = {_budget(frames, edge_px, 3 << 30) for frames in (1000, 10_000, 1_000_000)}
    assert len(budgets) == 1


def test_more_memory_is_never_less_budget() -> None:
    budgets = [_budget(1000, 1024, mib * MIB) for mib in range(700, 4000, 100)]
    assert not budgets[0].sum_in_memory
    assert budgets[-1].sum_in_memory
    edges = [budget.picture_edge_px for budget in budgets if not budget.sum_in_memory]
    assert edges == sorted(edges)
    assert all(budget.in_flight_most >= 1 for budget in budgets)
    assert budgets[-1].in_flight_most > 2


def test_a_field_whose_image_is_larger_than_the_bound() -> None:
    """16384 x 16384 SR pixels of float32 are 1 GiB, and their sum 2 GiB."""
    budget = _budget(10_000, 2048, 925 * MIB)
    assert not budget.sum_in_memory
    assert budget.in_flight_most == 1


def test_too_little_is_told_with_what_it_takes() -> None:
    told = "memory is 300 MiB; frames of 2048 x 2048 pixels need at least .* MiB: raise --memory"
    with pytest.raises(SettingError, match=told):
        _budget(1000, 2048, 300 * MIB)


def test_the_users_limit_or_a_share_of_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "machine_bytes", lambda: 8 << 30)
    assert memory_budget.memory_limit_bytes(Settings()) == 2 << 30
    assert memory_budget.memory_limit_bytes(Settings(memory_bytes=3 << 30)) == 3 << 30


def test_the_machine_has_memory() -> None:
    assert 1 << 28 < memory.machine_bytes() < 1 << 46


def test_a_container_may_have_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(path: Path) -> str:
        if path.name != "memory.max":
            raise FileNotFoundError(path)
        return "1073741824\n"

    monkeypatch.setattr(Path, "read_text", told)
    assert memory.machine_bytes() == 1 << 30
