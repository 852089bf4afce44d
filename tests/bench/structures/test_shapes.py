"""Structures have the lengths, densities and places that their names promise."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from smlm_bench.structures import areas, lines
from smlm_bench.structures.films import STRUCTURES
from smlm_bench.structures.shape import (
    BORDER_PX,
    FIELD_PX,
    GRID_PER_PX,
    Area,
    Lines,
    surroundings_um2,
)

WIDE_PX = FIELD_PX + 2 * BORDER_PX
LENGTH_UM = {"uniform": 0.0, "dots": 0.4, "rings": 0.3}


def a_line(y_px: float) -> Lines:
    x_px = np.arange(-BORDER_PX, FIELD_PX + BORDER_PX + 0.1, Lines.STEP_PX)
    return Lines((np.stack([np.full_like(x_px, y_px), x_px], axis=1),), 0.0)


@pytest.mark.parametrize("name", STRUCTURES)
def test_molecules_are_on_the_structure_and_around_the_field_too(name: str) -> None:
    shape = STRUCTURES[name](np.random.default_rng(1), LENGTH_UM.get(name, 0.8))
    places = shape.sample(np.random.default_rng(2), 4000)
    assert places.shape == (4000, 2)
    assert np.all(np.abs(places - FIELD_PX / 2) < WIDE_PX / 2 + 1)
    index = ((places + BORDER_PX) * GRID_PER_PX).astype(int)
    inside = np.all((index >= 0) & (index < WIDE_PX * GRID_PER_PX), axis=1)
    from scipy.ndimage import distance_transform_edt

    away_px = distance_transform_edt(~shape.mask)[tuple(index[inside].T)] / GRID_PER_PX
    assert np.percentile(away_px, 99) < 0.5


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_same_seed_gives_the_same_structure(name: str) -> None:
    length_um = LENGTH_UM.get(name, 0.8)
    one, two, other = (
        STRUCTURES[name](np.random.default_rng(seed), length_um).mask for seed in (5, 5, 6)
    )
    assert np.array_equal(one, two)
    assert name == "uniform" or not np.array_equal(one, other)


def test_a_line_has_its_length_and_its_molecules_are_even_on_it() -> None:
    line = a_line(20.0)
    assert line.length_px == pytest.approx(WIDE_PX, abs=0.2)
    places = line.sample(np.random.default_rng(3), 20_000)
    assert np.all(places[:, 0] == 20.0)
    counts, _ = np.histogram(places[:, 1], 8, (-BORDER_PX, FIELD_PX + BORDER_PX))
    assert counts == pytest.approx(2500, rel=0.1)


def test_the_surroundings_of_a_line_are_a_band_of_300_nm() -> None:
    band_um2 = WIDE_PX * (2 * 1.5 + 1 / GRID_PER_PX) / 100
    assert surroundings_um2(a_line(20.0)) == pytest.approx(band_um2, rel=0.03)
    everywhere = areas.uniform(np.random.default_rng(0), 0)
    assert surroundings_um2(everywhere) == pytest.approx((WIDE_PX / 10) ** 2)


def test_worms_bend_as_their_persistence_says() -> None:
    chains = lines.worms(np.random.default_rng(4), 1.0).paths_px
    steps = np.array([np.diff(path, axis=0) for path in chains]) / Lines.STEP_PX
    lag = round(10 / Lines.STEP_PX)  # one persistence length
    cosine = (steps[:, :-lag] * steps[:, lag:]).sum(axis=2).mean()
    assert cosine == pytest.approx(np.exp(-0.5), abs=0.1)
    assert Lines(chains, 0.1).length_px == pytest.approx(WIDE_PX**2 / 5, rel=0.15)


def test_waves_swing_by_a_sixth_of_their_wavelength() -> None:
    for path in lines.waves(np.random.default_rng(5), 2.0).paths_px:
        centred = path - path.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        across = centred @ axes[1]
        assert np.ptp(across) == pytest.approx(2 * 20 / 6, rel=0.15)


def test_rings_have_their_diameter() -> None:
    ring = lines.rings(np.random.default_rng(6), 0.3).paths_px[0]
    assert np.hypot(*(ring - ring[:-1].mean(axis=0)).T) == pytest.approx(1.5, abs=0.05)


def test_an_area_of_a_part_has_that_part() -> None:
    share = areas.blobs(np.random.default_rng(7), 1.0).mask.mean()
    assert 0.1 < share < 0.3
    star = areas.star(np.random.default_rng(8), 1.0).mask
    circle = np.pi * (FIELD_PX / 2) ** 2 / WIDE_PX**2
    assert star.mean() == pytest.approx(circle / 2, rel=0.05)


def test_lines_are_followed_along_the_axis_that_they_run_along() -> None:
    along_y, along_x = a_line(20.0).along(8)
    assert not along_y.any()
    rows = np.flatnonzero(along_x.any(axis=1))
    assert rows.min() == 156  # 0.5 px to both sides of row 160
    assert rows.max() == 163
    assert along_x[160].mean() > 0.9


def test_areas_are_followed_inside_of_their_edges() -> None:
    covered = np.zeros((WIDE_PX * GRID_PER_PX,) * 2, bool)
    first = (BORDER_PX + 10) * GRID_PER_PX
    covered[first : first + 10 * GRID_PER_PX, :] = True
    along_y, along_x = Area(covered).along(8)
    assert np.array_equal(along_y, along_x)
    rows = np.flatnonzero(along_y[:, 100])
    assert 80 <= rows.min() <= 84
    assert 156 <= rows.max() + 1 <= 160
