"""Where molecules are put: densities, lines and borders."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_training.simulation.structures import Filaments, Positions, Uniform, wavy_filaments

BORDER_PX = 6.0
STEP_PX = 0.1
"""Distance between the points of a line."""


def _wavy(
    seed: int,
    *,
    edge_px: int = 64,
    spacing_px: tuple[float, float] = (4.0, 8.0),
    crossing_share: float = 0.0,
    radius_px: float = 0.0,
) -> Filaments:
    return wavy_filaments(
        np.random.default_rng(seed),
        height_px=edge_px,
        width_px=edge_px,
        spacing_px=spacing_px,
        crossing_share=crossing_share,
        density_per_px=0.3,
        radius_px=radius_px,
        border_px=BORDER_PX,
    )


def _straight(*, radius_px: float) -> Filaments:
    """One line along x, at y = 10, from x = 0 to 40."""
    x_px = np.arange(0, 40, STEP_PX)
    points = np.stack([np.full_like(x_px, 10.0), x_px], axis=1)
    return Filaments(points, np.full(len(x_px), STEP_PX), 0.5, radius_px)


def _to_the_axis_px(filaments: Filaments, positions: Positions) -> NDArray[np.float64]:
    """Distance of each molecule to the nearest point of a line."""
    steps = np.stack(positions, axis=1)[:, None] - filaments.points_px
    distance: NDArray[np.float64] = np.hypot(*np.moveaxis(steps, 2, 0)).min(axis=1)
    return distance


def _parallelism(filaments: Filaments) -> float:
    """1 if all line pieces have one direction, 0 if they have any direction alike."""
    steps = np.diff(filaments.points_px, axis=0)
    steps = steps[np.hypot(*steps.T) < 3 * STEP_PX]
    return float(np.abs(np.exp(2j * np.arctan2(*steps.T)).mean()))


def test_uniform_expects_density_times_area_with_border() -> None:
    structure = Uniform(30, 50, density_per_px2=0.04, border_px=5)
    assert structure.expected_count() == pytest.approx(0.04 * 40 * 60)


def test_uniform_fills_field_and_border_evenly() -> None:
    structure = Uniform(30, 50, density_per_px2=0.04, border_px=5)
    count = 40_000
    y_px, x_px = structure.sample(np.random.default_rng(1), count)
    cells, _, _ = np.histogram2d(y_px, x_px, bins=(8, 12), range=((-5, 35), (-5, 55)))
    assert cells.sum() == count  # none lies beyond the border
    expected = count / cells.size
    chi2_per_cell = np.sum((cells - expected) ** 2 / expected) / (cells.size - 1)
    assert chi2_per_cell == pytest.approx(1, abs=4 * np.sqrt(2 / cells.size))


@pytest.mark.parametrize(
    "structure",
    [Uniform(8, 8, 0.1, 1.0), _straight(radius_px=0.1)],
    ids=["uniform", "filaments"],
)
def test_sample_of_none_is_empty(structure: Uniform | Filaments) -> None:
    y_px, x_px = structure.sample(np.random.default_rng(0), 0)
    assert (y_px.shape, x_px.shape) == ((0,), (0,))


def test_filaments_expect_density_times_length() -> None:
    assert _straight(radius_px=0).expected_count() == pytest.approx(0.5 * 40)


def test_molecules_without_a_radius_lie_on_the_line() -> None:
    filaments = _wavy(2)
    positions = filaments.sample(np.random.default_rng(3), 300)
    np.testing.assert_allclose(_to_the_axis_px(filaments, positions), 0, atol=1e-12)


def test_molecules_spread_about_the_line_by_the_radius() -> None:
    count, radius_px = 20_000, 0.25
    y_px, x_px = _straight(radius_px=radius_px).sample(np.random.default_rng(4), count)
    assert np.mean(y_px) == pytest.approx(10, abs=4 * radius_px / np.sqrt(count))
    assert np.std(y_px) == pytest.approx(radius_px, rel=4 / np.sqrt(2 * count))
    along, _ = np.histogram(x_px, bins=8, range=(0, 40))
    np.testing.assert_allclose(along, count / 8, rtol=4 / np.sqrt(count / 8))


def test_longer_pieces_hold_more_molecules() -> None:
    ends = np.array([[5.0, 5.0], [20.0, 20.0]])
    filaments = Filaments(ends, np.array([1.0, 3.0]), density_per_px=1.0, radius_px=0.0)
    count = 10_000
    y_px, _ = filaments.sample(np.random.default_rng(5), count)
    share = float(np.mean(y_px == 20.0))
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / count))


@pytest.mark.parametrize("seed", range(5))
def test_lines_lie_in_field_and_border(seed: int) -> None:
    points = _wavy(seed, crossing_share=0.5).points_px
    assert points.min() > -BORDER_PX
    assert points.max() < 64 + BORDER_PX


def test_weights_are_the_lengths_of_the_pieces() -> None:
    filaments = _wavy(6)
    steps_px = np.hypot(*np.diff(filaments.points_px, axis=0).T)
    along = steps_px < 3 * STEP_PX  # the others lead from one line to the next
    assert along.mean() > 0.95
    np.testing.assert_allclose(filaments.weights_px[1:][along], steps_px[along], rtol=0.02)


@pytest.mark.parametrize("spacing_px", [(3.0, 9.0), (10.0, 12.0)])
def test_length_of_line_follows_from_the_spacing(spacing_px: tuple[float, float]) -> None:
    """Lines that are d apart have a length of area / d; waves add a few percent."""
    area_px2 = (64 + 2 * BORDER_PX) ** 2
    lengths_px = [_wavy(seed, spacing_px=spacing_px).weights_px.sum() for seed in range(12)]
    assert np.mean(lengths_px) == pytest.approx(area_px2 / np.mean(spacing_px), rel=0.1)


def test_bundle_is_parallel_unless_lines_cross() -> None:
    bundle = [_parallelism(_wavy(seed, crossing_share=0.0)) for seed in range(6)]
    crossing = [_parallelism(_wavy(seed, crossing_share=1.0)) for seed in range(6)]
    assert min(bundle) > 0.8
    assert np.mean(crossing) < 0.5


def test_same_seed_gives_the_same_lines() -> None:
    first, again, other = _wavy(8), _wavy(8), _wavy(9)
    np.testing.assert_array_equal(first.points_px, again.points_px)
    assert first.points_px.shape != other.points_px.shape


@pytest.mark.parametrize("seed", range(8))
def test_lines_too_far_apart_for_the_field_leave_it_nearly_empty(seed: int) -> None:
    filaments = _wavy(seed, edge_px=16, spacing_px=(60.0, 62.0))
    at_most_px = 2 * np.hypot(16 + 2 * BORDER_PX, 16 + 2 * BORDER_PX)
    assert 0 <= filaments.expected_count() < 0.3 * at_most_px
    y_px, _ = filaments.sample(np.random.default_rng(0), 3)
    assert np.isfinite(y_px).all()
