"""A shift between two images is found where they tell it, and not believed where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.labelled_images import FIELD_NM, SR_NM, STRUCTURES, labelled
from smlm_pipeline.registration import parts
from smlm_pipeline.registration.affine import Affine, moved_by
from smlm_pipeline.registration.correlation import Shift, shift_between

REACH_NM = 1500.0
REST = moved_by(np.zeros(2))


def _between(
    structures: tuple[str, str], affine: Affine, seed: int, *, alike: bool, molecules: int = 4000
) -> Shift:
    rng = np.random.default_rng(seed)
    first = STRUCTURES[structures[0]](rng)
    second = first if alike else STRUCTURES[structures[1]](rng)
    one = labelled(first, rng, REST, molecules)
    return shift_between(one, labelled(second, rng, affine, molecules), SR_NM, REACH_NM)


@pytest.mark.parametrize("shift_nm", [(0.0, 0.0), (230.0, -360.0), (-970.0, 615.0)])
@pytest.mark.parametrize("structure", ["curves", "dots"])
def test_shift_of_images_that_share_structure(
    structure: str, shift_nm: tuple[float, float]
) -> None:
    shift = moved_by(np.array(shift_nm))
    found = _between((structure, ""), shift, 1, alike=True, molecules=20_000)
    assert found.known
    assert np.abs(np.subtract(found.yx_nm, shift_nm)).max() < max(3, 2 * found.error_nm)
    assert found.error_nm < 10
    assert not found.bends


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pair", [("curves", "curves"), ("dots", "dots"), ("curves", "nothing")])
def test_unlike_images_tell_no_shift(pair: tuple[str, str], seed: int) -> None:
    found = _between(pair, REST, seed, alike=False)
    assert not found.known
    assert found.reason


@pytest.mark.parametrize("structure", ["parallel lines", "lattice", "nothing"])
@pytest.mark.parametrize("seed", range(3))
def test_structures_that_tell_no_shift(structure: str, seed: int) -> None:
    shift = moved_by(np.array([120.0, 80.0]))
    assert not _between((structure, ""), shift, seed, alike=True).known


def test_few_molecules_tell_no_shift() -> None:
    shift = moved_by(np.array([120.0, 80.0]))
    assert not _between(("curves", ""), shift, 1, alike=True, molecules=60).known


def test_an_image_that_is_turned_is_noticed() -> None:
    angle = np.deg2rad(1.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle_nm = np.full(2, FIELD_NM / 2)
    affine = Affine(turn, middle_nm - turn @ middle_nm + 150.0)
    found = _between(("dots", ""), affine, 1, alike=True, molecules=20_000)
    assert found.known
    assert found.bends


def test_a_small_shift_may_be_passed_over() -> None:
    rng = np.random.default_rng(1)
    points = STRUCTURES["curves"](rng)
    one, two = (labelled(points, rng, REST) for _ in range(2))
    found = shift_between(one, two, SR_NM, REACH_NM, least_nm=15.0)
    assert (found.known, found.reason) == (False, "the shift is too small to matter")


def test_a_large_image_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EDGE_MOST", 160)
    shift_nm = (230.0, -360.0)
    found = _between(("dots", ""), moved_by(np.array(shift_nm)), 1, alike=True)
    assert found.known
    assert np.abs(np.subtract(found.yx_nm, shift_nm)).max() < 6


def test_empty_images() -> None:
    empty = np.zeros((64, 64), np.float32)
    assert not shift_between(empty, empty, SR_NM, REACH_NM).known
