"""Drift is noticed where two halves of a film tell it, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from fakes.labelled_images import SR_NM, STRUCTURES, labelled
from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import sparse
from smlm_pipeline.registration.affine import moved_by
from smlm_pipeline.run import drift_hint
from smlm_pipeline.run.drift_hint import DriftHint
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.settings import DEFAULTS


@dataclass
class _Size:
    frame_count: int
    height_px: int = 60
    width_px: int = 60
    decoded_bytes: int = 0


def _notes(
    structures: tuple[str, str],
    moved_nm: tuple[float, float],
    *,
    frames: int = 400,
    molecules: int = 4000,
    lost: int = 0,
    seed: int = 1,
    order: Sequence[int] = range(10),
) -> list[str]:
    """Feed the sums of two halves as ten chunks in some order; the first ones may be lost."""
    rng = np.random.default_rng(seed)
    first = STRUCTURES[structures[0]](rng)
    second = first if structures[0] == structures[1] else STRUCTURES[structures[1]](rng)
    rest = moved_by(np.zeros(2))
    half = labelled(first, rng, rest, molecules)
    whole = half + labelled(second, rng, moved_by(np.array(moved_nm)), molecules)
    plan = plan_run(_Size(frames), replace(DEFAULTS, chunk_frames=frames // 10), 1 << 30)
    hint = DriftHint(plan)
    shares = {1: half, 8: whole - half}
    for number in order[lost:]:
        share = np.pad(shares.get(number, 0 * half), contract.MARGIN_PX * plan.zoom)
        sums = sparse((share * contract.WEIGHT_ONE).astype(np.int32))
        hint.follow(plan.chunks[number], sums, frames / 10)
    return hint.notes(whole, SR_NM)


@pytest.mark.parametrize("corner", [(0, 0), (-8, 12), (-30, -40), (35, 30), (70, 0), (0, 90)])
def test_the_middle_is_cut_out_of_any_window(
    monkeypatch: pytest.MonkeyPatch, corner: tuple[int, int]
) -> None:
    monkeypatch.setattr(drift_hint, "EDGE_MOST_PX", 40)
    rng = np.random.default_rng(3)
    shape = np.array((70, 90))
    image = rng.integers(-2, 5, (60, 50)).clip(0).astype(np.int32)
    whole = np.zeros(shape + 200, np.int64)  # the image with 100 SR pixels around it
    top, left = np.array(corner) + 100
    whole[top : top + 60, left : left + 50] += image
    middle = drift_hint._Middle((70, 90))
    total = np.full(middle.shape, 7, np.int64)
    middle.add(total, sparse(image), corner, 50)
    np.testing.assert_array_equal(total - 7, whole[115:155, 125:165])


@pytest.mark.parametrize("moved_nm", [(60.0, -80.0), (0.0, 25.0), (-300.0, 200.0)])
@pytest.mark.parametrize("structure", ["curves", "dots"])
def test_a_sample_that_moved_is_noticed(structure: str, moved_nm: tuple[float, float]) -> None:
    (note,) = _notes((structure, structure), moved_nm, molecules=10_000)
    apart_nm = float(note.split(" nm apart")[0].split()[-1])
    assert apart_nm == pytest.approx(math.hypot(*moved_nm), abs=4)
    assert "--drift auto" in note


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("structures", "moved_nm"),
    [
        (("curves", "curves"), (0, 0)),
        (("dots", "dots"), (0, 0)),
        (("dots", "dots"), (9, 9)),
        (("nothing", "nothing"), (100, 100)),
        (("parallel lines", "parallel lines"), (100, 100)),
        (("lattice", "lattice"), (30, 40)),
        (("curves", "dots"), (0, 0)),
    ],
)
def test_no_false_alarms(
    structures: tuple[str, str], moved_nm: tuple[float, float], seed: int
) -> None:
    assert _notes(structures, moved_nm, seed=seed) == []


def test_the_order_of_answers_changes_nothing() -> None:
    """Also where the second half of the film is answered first."""
    in_order = _notes(("curves", "curves"), (60.0, -80.0))
    assert len(in_order) == 1
    assert _notes(("curves", "curves"), (60.0, -80.0), order=range(9, -1, -1)) == in_order


@pytest.mark.parametrize("few", [{"frames": 190}, {"molecules": 400}, {"lost": 3}])
def test_too_little_to_tell(few: dict[str, Any]) -> None:
    """A short film, few molecules, and a run that continued and does not know its first part."""
    moved_nm = (60.0, -80.0)
    assert _notes(("dots", "dots"), moved_nm)
    assert _notes(("dots", "dots"), moved_nm, **few) == []


def test_the_middle_of_a_large_image_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_hint, "EDGE_MOST_PX", 300)
    assert _notes(("dots", "dots"), (60.0, -80.0), molecules=10_000)


def test_what_an_estimate_left_is_not_to_be_estimated_again() -> None:
    curves = STRUCTURES["curves"](np.random.default_rng(1))
    half = labelled(curves, np.random.default_rng(2), moved_by(np.zeros(2)), 4000)
    away = labelled(curves, np.random.default_rng(3), moved_by(np.array((60.0, 80.0))), 4000)
    plan = plan_run(_Size(400), replace(DEFAULTS, chunk_frames=40), 1 << 30)
    hint = DriftHint(plan)
    for number, share in enumerate([half, *[0 * half] * 8, away]):
        padded = np.pad(share, contract.MARGIN_PX * plan.zoom)
        hint.follow(
            plan.chunks[number], sparse((padded * contract.WEIGHT_ONE).astype(np.int32)), 40
        )
    for estimated in (False, True):
        (note,) = hint.notes(half + away, SR_NM, estimated=estimated)
        assert ("--drift auto" in note, "--drift FILE" in note) == (not estimated, estimated)
