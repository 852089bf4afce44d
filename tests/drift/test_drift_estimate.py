"""Drift is found on sparse and dense samples, and none is found where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.drifting_samples import FIELD_NM, molecules, rms_nm
from smlm_pipeline.drift.estimate import estimate
from smlm_pipeline.drift.points import Points, halves_of_sample, parts_of, thinned

FRAMES = 1200


@pytest.mark.parametrize(
    ("structure", "per_frame", "kind"),
    [
        ("curves", 5, "linear"),
        ("curves", 5, "wander"),
        ("dots", 3, "steps"),
        ("dots", 3, "wander"),
        ("dots", 10, "linear"),
    ],
)
def test_the_drift_is_found(structure: str, per_frame: float, kind: str) -> None:
    points, moved = molecules(structure, kind, frames=FRAMES, per_frame=per_frame)
    found = estimate(points)
    assert found is not None
    assert found.found
    drift = found.drift.at(np.arange(FRAMES))
    residual_nm = rms_nm(drift - moved)
    assert residual_nm < 10
    assert residual_nm < 3 * found.error_nm + 3
    assert found.rms_nm == pytest.approx(rms_nm(moved), abs=6)
    assert abs(drift[:, points.frame[0]]).max() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("structure", "per_frame", "frames", "kind"),
    [
        ("dots", 1.2, 1200, "steps"),
        ("nearly parallel", 12, 900, "steps"),
        ("blobs", 100, 300, "wander"),
    ],
)
def test_the_stated_error_is_that_of_hard_samples(
    structure: str, per_frame: float, frames: int, kind: str
) -> None:
    seed = 6 if structure == "nearly parallel" else 5
    points, moved = molecules(structure, kind, frames=frames, per_frame=per_frame, seed=seed)
    points = points.take(((points.yx_nm > 0) & (points.yx_nm < FIELD_NM)).all(axis=0))
    found = estimate(points)
    assert found is not None
    assert found.found
    residual_nm = rms_nm(found.drift.at(np.arange(frames)) - moved)
    assert 0.6 * residual_nm < found.error_nm < 2 * residual_nm


@pytest.mark.parametrize(("structure", "seed"), [("curves", 5), ("dots", 6)])
def test_a_sample_at_rest_is_left_at_rest(structure: str, seed: int) -> None:
    points, _ = molecules(structure, "none", frames=1200, per_frame=3, seed=seed)
    found = estimate(points)
    assert found is not None
    assert not found.found
    assert found.rms_nm < 3


def test_a_step_is_put_at_its_frame() -> None:
    points, moved = molecules("dots", "steps", frames=2000, per_frame=5)
    found = estimate(points)
    assert found is not None
    assert found.steps >= 2
    around = np.array([399, 400, 899, 900])
    apart = found.drift.at(around) - moved[:, around]
    assert np.abs(apart - apart.mean(axis=1, keepdims=True)).max() < 25


@pytest.mark.parametrize("frames", [3, 2000])
def test_too_little_to_go_by(frames: int) -> None:
    points, _ = molecules("dots", "linear", frames=frames, per_frame=400 if frames == 3 else 0.1)
    assert estimate(points) is None


@pytest.mark.parametrize("places", ["one", "spread"])
def test_samples_without_structure_are_left_as_they_are(places: str) -> None:
    rng = np.random.default_rng(2)
    frame = np.sort(rng.integers(0, 1000, 3000))
    nm = np.full((2, 3000), 500.0) if places == "one" else rng.uniform(0, 20_000, (2, 3000))
    found = estimate(Points(frame, nm))
    assert found is None or not found.found or found.rms_nm < 1e-6


def test_the_same_molecules_give_the_same_bits() -> None:
    points, _ = molecules("curves", "wander", frames=1000, per_frame=3)
    one, two = estimate(points), estimate(points)
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.drift.yx_nm, two.drift.yx_nm)


def test_parts_have_whole_frames() -> None:
    points, _ = molecules("dots", "none", frames=200, per_frame=4)
    parts = parts_of(points, 20)
    assert len(parts) == 20
    assert parts.first_row[-1] == len(points)
    inner = parts.first_row[1:-1]
    assert (points.frame[inner] > points.frame[inner - 1]).all()
    assert (np.diff(parts.centre_frame) > 0).all()


def test_a_frame_with_more_molecules_than_a_part() -> None:
    frame = np.repeat([0, 5, 6], [2, 90, 8])
    parts = parts_of(Points(frame, np.zeros((2, 100))), 10)
    assert parts.first_row.tolist() == [0, 2, 100]
    assert parts.centre_frame.tolist() == [0, pytest.approx(5 + 8 / 98)]


def test_halves_share_out_squares_of_the_field() -> None:
    points, _ = molecules("curves", "none", frames=500, per_frame=4)
    half = halves_of_sample(points)
    assert half.mean() == pytest.approx(0.5, abs=0.05)
    near = np.abs(points.yx_nm[:, :, None] - points.yx_nm[:, None, :500]).max(axis=0) < 20
    apart = half[:, None] != half[None, :500]
    assert (near & apart).sum() < 0.1 * near.sum()


def test_too_many_molecules_are_thinned_alike_however_they_come() -> None:
    points, _ = molecules("dots", "none", frames=100, per_frame=10)

    def blocks(edges: list[int]) -> list[Points]:
        ends = [*edges, len(points)]
        starts = [0, *edges]
        cuts = [slice(*each) for each in zip(starts, ends, strict=True)]
        return [Points(points.frame[cut], points.yx_nm[:, cut]) for cut in cuts]

    whole = thinned(blocks([]), len(points), 301)
    assert len(whole) == 301
    np.testing.assert_array_equal(whole.yx_nm, thinned(blocks([7, 8, 500]), len(points), 301).yx_nm)
    assert len(thinned(blocks([3]), len(points), 10**6)) == len(points)
