"""The spread of molecules' brightness: isolated ones alone tell it, and the scale follows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute import brightness
from smlm_pipeline.compute.brightness import (
    ENOUGH,
    NOMINAL_SPREAD,
    STATED_SHARE,
    STATED_WHERE_ALIKE,
    USUAL_SPREAD,
    IsolatedLight,
    isolated_light,
    look,
    scale_factor,
)
from smlm_pipeline.compute.window import Window

CORE = Window(1, 8, 16, 40, 48)
FRAMES = 3


def _light(count: int, spread: float, *, error: float = 0.0, seed: int = 0) -> IsolatedLight:
    """Answers for log-normal light, as a network gives them that knows the usual: shrunk."""
    rng = np.random.default_rng(seed)
    answered = np.exp(rng.normal(2, np.sqrt(spread**2 - error**2), count))
    return IsolatedLight(answered, error * answered)


def _true(stated: float) -> float:
    """The spread that follows from that of the answers."""
    return float(np.sqrt((stated**2 - STATED_WHERE_ALIKE) / STATED_SHARE))


def _table(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Molecules in the core of a request, half of them sure."""
    rng = np.random.default_rng(seed)
    table = rng.uniform(0.5, 1, (count, len(contract.MOLECULE_COLUMNS)))
    table[:, 0] = rng.integers(FRAMES, size=count)
    table[:, 1] = CORE.top_px + rng.uniform(0, CORE.height_px, count)
    table[:, 2] = CORE.left_px + rng.uniform(0, CORE.width_px, count)
    table[:, 5] = rng.choice([0.6, 0.95], count)
    table[:, 6] = rng.uniform(2, 9, count)
    return table.astype(np.float32)


@pytest.mark.parametrize("spread", [0.2, 0.3, 0.6])
@pytest.mark.parametrize("error", [0.0, 0.08])
def test_spread_of_log_normal_light(spread: float, error: float) -> None:
    """It is that of the answers, less and more what networks make of it."""
    assert _light(4000, spread, error=error).spread() == pytest.approx(_true(spread), abs=0.02)


def test_unresolved_pairs_hardly_count() -> None:
    """Of a tenth of all, which count double, the quantiles see little."""
    alone = _light(4000, 0.3)
    doubled = np.where(np.arange(4000) % 10 == 0, 2.0, 1.0)
    paired = IsolatedLight(alone.intensity * doubled, alone.sigma * doubled)
    assert paired.spread() < 1.25 * alone.spread()


def test_without_molecules_the_spread_is_the_usual_one() -> None:
    assert _light(0, 0.5).spread() == pytest.approx(USUAL_SPREAD)
    few, many = _light(20, 0.6).spread(), _light(2000, 0.6).spread()
    assert USUAL_SPREAD < few < many


def test_isolated_molecules_are_those_alone_in_their_square() -> None:
    """Against all pairs, for molecules dense enough that most have neighbours."""
    table = _table(250)
    found = isolated_light(table, CORE, FRAMES)
    pixel = np.floor(table[:, :3]).astype(int)
    expected = []
    for at, (frame, y, x) in enumerate(pixel):
        near = (pixel[:, 0] == frame) & (np.abs(pixel[:, 1:] - [y, x]).max(axis=1) <= 3)
        inner_y = CORE.top_px + 3 <= y < CORE.top_px + CORE.height_px - 3
        inner_x = CORE.left_px + 3 <= x < CORE.left_px + CORE.width_px - 3
        if near.sum() == 1 and inner_y and inner_x and table[at, 5] >= 0.9:
            expected.append(table[at, 6])
    assert len(expected) > 10
    assert sorted(found.intensity) == sorted(expected)
    assert len(found.sigma) == len(expected)


def test_places_that_were_rounded_up_to_the_edge_do_no_harm() -> None:
    table = _table(4)
    table[0, 1:3] = CORE.top_px + CORE.height_px, CORE.left_px + CORE.width_px
    assert len(isolated_light(table, CORE, FRAMES).intensity) <= 3
    assert len(isolated_light(table[:0], CORE, FRAMES).intensity) == 0


@pytest.mark.parametrize("frames", [1, 3, 7, 100, 100_000])
def test_all_of_a_film_is_looked_at_a_little(frames: int) -> None:
    seen: list[range] = []

    def light_of(ranges: list[range]) -> Iterator[IsolatedLight]:
        seen.extend(ranges)
        yield _light(0, 0.3)

    assert look(frames, 64 * 64, light_of) == pytest.approx(USUAL_SPREAD)
    assert all(0 <= each.start < each.stop <= frames for each in seen)
    starts = sorted(each.start for each in seen)
    assert starts[0] == 0
    assert max(each.stop for each in seen) == frames
    assert sum(len(each) for each in seen) <= 96
    assert len(set(starts)) == len(starts)


def test_a_look_ends_when_it_has_seen_enough() -> None:
    """And its first frames are from all over the film; the order of answers does not matter."""
    rounds: list[list[range]] = []

    def light_of(ranges: list[range]) -> Iterator[IsolatedLight]:
        rounds.append(ranges)
        parts = [_light(ENOUGH // 10, 0.4, seed=each.start) for each in ranges]
        yield from parts if len(rounds) % 2 else parts[::-1]

    first = look(1000, 64 * 64, light_of)
    assert len(rounds) == 2
    assert rounds[0][0].start < 100
    assert rounds[0][-1].start > 800
    rounds[:0] = [[]]
    assert look(1000, 64 * 64, light_of) == first == pytest.approx(_true(0.4), abs=0.02)


def test_large_frames_are_looked_at_in_few_ranges() -> None:
    seen: list[range] = []

    def light_of(ranges: list[range]) -> list[IsolatedLight]:
        seen.extend(ranges)
        return []

    look(10_000, 4096 * 4096, light_of)
    assert len(seen) == brightness.RANGES_PER_ROUND


def test_the_nominal_spread_leaves_the_scale() -> None:
    assert scale_factor(NOMINAL_SPREAD) == 1


@pytest.mark.parametrize("spread", [0.15, 0.4])
def test_the_factor_makes_the_scale_one_of_mean_light(spread: float) -> None:
    """E[I^3] / E[I^2] of log-normal light, times the factor, is the same for every spread."""
    light = np.exp(np.random.default_rng(3).normal(-(spread**2) / 2, spread, 2_000_000))
    scale = (light**3).mean() / (light**2).mean() * scale_factor(spread)
    assert scale == pytest.approx(np.exp(2 * NOMINAL_SPREAD**2), rel=0.01)


@pytest.mark.parametrize(
    ("again", "persists"),
    [
        (((0, 0), (0, 0)), False),  # a film of one frame
        (((2, 2), (0, 1)), False),  # by chance
        (((560, 1330), (157, 437)), False),  # lines: others are often there
        (((640, 1330), (157, 437)), True),
        (((61, 92), (9, 24)), False),  # too few to be sure
        (((1380, 1450), (440, 480)), True),  # for thirty frames: hardly fewer later
        (((1000, 1450), (330, 480)), False),
    ],
)
def test_molecules_that_are_there_again(
    again: tuple[tuple[int, int], tuple[int, int]], persists: bool
) -> None:
    unlike, alike = (
        IsolatedLight(light.intensity, light.sigma, np.array(again))
        for light in (_light(2000, 0.4), _light(2000, 0.2))
    )
    assert unlike.persists is persists
    assert (look(1000, 64 * 64, lambda _ranges: [unlike]) is None) is persists
    assert look(1000, 64 * 64, lambda _ranges: [alike]) == pytest.approx(_true(0.2), abs=0.03)


def test_who_is_there_again_is_counted_in_a_pixel_s_reach() -> None:
    table = np.zeros((6, len(contract.MOLECULE_COLUMNS)), np.float32)
    table[:, 5:] = 1
    # Two isolated molecules of the first frame; one is near in the next frame, one in the fourth.
    places = [(0, 20.5, 30.5), (0, 30.5, 50.5), (1, 21.9, 29.1), (1, 33.0, 50.5), (3, 29.2, 51.9)]
    table[:5, :3] = places
    table[5, :3], table[5, 5] = (3, 22.6, 30.5), 0.5  # two pixels away, and doubtful
    found = isolated_light(table, CORE, 4)
    # Of the five sure ones, four have a next frame in the request, two a third one after theirs.
    assert found.again.tolist() == [[1, 4], [1, 2]]
