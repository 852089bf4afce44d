"""Learning rates: the cosine of our recipes, the plateau of the reference paper's preset."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

from smlm_training.fitting.recipes import Recipe
from smlm_training.fitting.schedules import Plateau, cosine

pytestmark = pytest.mark.training


def test_learning_rate_warms_up_and_falls_to_a_hundredth() -> None:
    recipe = Recipe()
    schedule = cosine(recipe)
    half_way = (recipe.warmup_steps + recipe.steps) // 2
    steps = (0, recipe.warmup_steps // 2, recipe.warmup_steps, half_way, recipe.steps)
    rates = [float(schedule(step)) / recipe.learning_rate for step in steps]
    assert rates == pytest.approx([0.05, 0.525, 1, 0.505, 0.01], rel=1e-3)


def _rates(losses: list[float]) -> list[float]:
    plateau, rates = Plateau(1e-3), []
    for loss in losses:
        plateau = plateau.after(loss)
        rates.append(plateau.rate)
    return rates


def test_the_rate_falls_to_a_tenth_after_five_epochs_without_gain() -> None:
    assert _rates([3, 2, 2, 2, 2, 2]) == [1e-3] * 6
    assert _rates([3, 2, 2, 2, 2, 2, 2]) == [1e-3] * 6 + [pytest.approx(1e-4)]


def test_a_gain_of_less_than_1e_4_is_none() -> None:
    assert _rates([2, *[2 - 0.9e-4] * 5])[-1] == pytest.approx(1e-4)
    assert _rates([2, *[2 - 1.1e-4] * 5])[-1] == 1e-3


def test_the_rate_does_not_fall_below_5e_5() -> None:
    assert _rates([2.0] * 30)[-1] == 5e-5


def test_a_gain_starts_the_wait_anew() -> None:
    assert Plateau(1e-3, 2.0, 4).after(1.0) == Plateau(1e-3, 1.0, 0)
    lower = Plateau(1e-3, 2.0, 4).after(2.5)
    assert lower.rate == pytest.approx(1e-4)
    assert (lower.best_loss, lower.waited_epochs) == (2.0, 0)
