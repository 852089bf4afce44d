"""Scores of constructed images have known values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("scipy")

from smlm_bench.structures import areas
from smlm_bench.structures.beads import Halves, modulation_percent
from smlm_bench.structures.lines import RADIUS_PX
from smlm_bench.structures.scores import resolution_nm
from smlm_bench.structures.shape import FIELD_PX, Lines
from smlm_training.scoring.evaluate import truth_image

ZOOM = 8
EDGE = FIELD_PX * ZOOM


def grid_lines(*, upright: bool = False) -> Lines:
    """Lines at all places within a pixel."""
    along = np.arange(-4, FIELD_PX + 4, Lines.STEP_PX)
    paths = []
    for place in np.arange(2, FIELD_PX - 2, 3.3):
        axes = [np.full_like(along, place), along]
        paths.append(np.stack(axes[::-1] if upright else axes, axis=1))
    return Lines(tuple(paths), RADIUS_PX)


def drawn(lines: Lines, modulation: float, *, axis: int) -> NDArray[np.float64]:
    """An image of the lines whose brightness is 1 + m cos(2 pi x) along an axis."""
    centre = (np.arange(EDGE) + 0.5) / ZOOM
    wave = 1 + modulation * np.cos(2 * np.pi * centre)
    image = np.zeros((EDGE, EDGE))
    for path in lines.paths_px:
        place = int(path[0, 1 - axis] * ZOOM)
        if axis == 1:
            image[place] = wave
        else:
            image[:, place] = wave
    return image


def both(image: NDArray[np.float64]) -> Halves:
    return Halves(image, image.copy())


@pytest.mark.parametrize("axis", [0, 1])
def test_a_pattern_of_beads_has_its_modulation(axis: int) -> None:
    lines = grid_lines(upright=axis == 0)
    truth = both(drawn(lines, 0.0, axis=axis))
    for modulation in (0.0, 0.05, 0.2):
        image = both(drawn(lines, modulation, axis=axis))
        found = modulation_percent(image, truth, lines.along(ZOOM), zoom=ZOOM)
        assert found == pytest.approx(100 * modulation, abs=0.1)


def test_the_modulation_of_the_truth_is_no_bead() -> None:
    lines = grid_lines()
    truth = both(drawn(lines, 0.3, axis=1))
    assert modulation_percent(truth, truth, lines.along(ZOOM), zoom=ZOOM) == 0


def test_beads_whose_phase_depends_on_the_line_are_found() -> None:
    lines = grid_lines()
    image = drawn(lines, 0.2, axis=1)
    lower = np.arange(EDGE) % ZOOM >= ZOOM // 2
    image[lower] = drawn(lines, -0.2, axis=1)[lower]
    truth = both(drawn(lines, 0.0, axis=1))
    found = modulation_percent(both(image), truth, lines.along(ZOOM), zoom=ZOOM)
    assert found == pytest.approx(20, abs=0.5)


def test_chance_of_few_emitters_is_no_bead() -> None:
    everywhere = areas.uniform(np.random.default_rng(0), 0)
    rng = np.random.default_rng(1)
    image, truth = (Halves(*rng.poisson(0.02, (2, EDGE, EDGE)).astype(float)) for _ in range(2))
    assert modulation_percent(image, truth, everywhere.along(ZOOM), zoom=ZOOM) < 3
    wave = 1 + 0.2 * np.cos(2 * np.pi * (np.arange(EDGE) + 0.5) / ZOOM)
    beaded = Halves(*rng.poisson(0.02 * wave, (2, EDGE, EDGE)).astype(float))
    found = modulation_percent(beaded, truth, everywhere.along(ZOOM), zoom=ZOOM)
    assert found == pytest.approx(20 / 2**0.5, abs=3)  # along x, none along y


def test_a_structure_that_is_nowhere_straight_has_no_beads() -> None:
    angle = np.linspace(0, 2 * np.pi, 40)
    ring = Lines((30 + np.stack([np.sin(angle), np.cos(angle)], axis=1),), 0.1)
    image = both(np.ones((EDGE, EDGE)))
    assert np.isnan(modulation_percent(image, image, ring.along(ZOOM), zoom=ZOOM))


def test_the_truth_is_resolved_to_the_grid() -> None:
    truth = np.random.default_rng(2).poisson(0.1, (256, 256)).astype(np.float64)
    assert resolution_nm(3.0 * truth, truth) == 25


@pytest.mark.parametrize("sigma_nm", [30.0, 45.0])
def test_displaced_emitters_are_resolved_to_what_their_error_leaves(sigma_nm: float) -> None:
    rng = np.random.default_rng(3)
    true_nm = rng.uniform(0, 512 * 12.5, (40_000, 2))
    found_nm = true_nm + rng.normal(0, sigma_nm, true_nm.shape)
    truth, image = (
        truth_image(*each.T, shape=(512, 512), sr_pixel_size_nm=12.5)
        for each in (true_nm, found_nm)
    )
    # The transfer of a Gaussian error falls to 1 / 7 there.
    expected_nm = 2 * np.pi * sigma_nm / np.sqrt(2 * np.log(7))
    assert resolution_nm(image, truth) == pytest.approx(expected_nm, rel=0.1)


def test_images_without_anything_in_common_are_not_resolved() -> None:
    rng = np.random.default_rng(4)
    one, two = rng.normal(size=(2, 256, 256))
    assert resolution_nm(one, two) > 1000
