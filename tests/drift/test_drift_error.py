"""The stated error is that of a curve whose truth is known, also where smoothing takes it away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.drift.error import Curves
from smlm_pipeline.drift.smoothing import best_width, smoothed

PARTS = 400
NOWHERE = np.zeros(PARTS, bool)


@dataclass(frozen=True)
class _Sample:
    """What a whole sample and its halves say of a drift, (2, P) and twice (2, 2, P)."""

    curves: Curves
    real_nm2: float


def _sample(width: float, *, waves: float = 12, error_nm: float = 6, seed: int = 1) -> _Sample:
    """The drift of parts as waves, seen by halves with errors, and smoothed by some width."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * waves * np.arange(PARTS) / PARTS
    true_nm = 60 * np.stack([np.sin(phase), np.cos(phase)])
    raw_nm = true_nm + rng.normal(0, error_nm, (2, 2, PARTS))
    halves_nm = np.stack([smoothed(half, width, 1e3) for half in raw_nm])
    whole_nm = smoothed(raw_nm.mean(axis=0), width, 1e3)
    real_nm2 = float(np.mean((whole_nm - true_nm).var(axis=1)))
    return _Sample(Curves(whole_nm, halves_nm, raw_nm), real_nm2)


@pytest.mark.parametrize("width", [0.0, 2.0, 4.0, 8.0])
def test_what_smoothing_takes_away_is_an_error(width: float) -> None:
    found = _sample(width)
    stated_nm2 = found.curves.error_nm2(NOWHERE)
    assert np.sqrt(stated_nm2 / found.real_nm2) == pytest.approx(1, abs=0.2)


def test_a_half_that_lost_its_way_says_nothing_of_the_whole() -> None:
    found = _sample(2.0)
    curves = found.curves
    halves_nm: NDArray[np.float64] = curves.halves_nm.copy()
    halves_nm[1, :, 50:52] += 250
    lost = Curves(curves.whole_nm, halves_nm, curves.raw_nm)
    assert np.sqrt(lost.noise_nm2()) < 2 * np.sqrt(curves.noise_nm2())
    whole_nm = curves.whole_nm.copy()
    whole_nm[:, 50:52] += 250
    gross = Curves(whole_nm, curves.halves_nm, curves.raw_nm)
    assert np.sqrt(gross.noise_nm2()) > 10


def test_parts_with_a_step_are_left_out() -> None:
    found = _sample(0.0, waves=0, error_nm=1)
    curves = found.curves
    step_nm = np.where(np.arange(PARTS) < 200, 0.0, 200.0)
    stepped = [each + step_nm for each in (curves.whole_nm, curves.halves_nm, curves.raw_nm)]
    at_step = np.arange(PARTS) == 200
    seen = Curves(*stepped).error_nm2(NOWHERE)
    assert seen > 2 * Curves(*stepped).error_nm2(at_step | np.roll(at_step, -1))


def test_a_part_that_is_far_off_does_not_choose_the_width() -> None:
    curves = _sample(0.0).curves
    raw_nm = curves.raw_nm.copy()
    raw_nm[1, :, 70:72] += 400
    assert best_width(raw_nm) == best_width(curves.raw_nm)
