"""A training run of seconds: its recipe, a network that is quickly traced, an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from smlm_training.fitting.ranges import Ranges
from smlm_training.fitting.recipes import Recipe
from smlm_training.fitting.trainer import Trainer
from smlm_training.networks import NETWORKS
from smlm_training.networks.unet import unet

RECIPE = Recipe(
    seed=3,
    batch=2,
    steps=12,
    epoch_steps=4,
    float32_steps=4,
    warmup_steps=2,
    ranges=Ranges(patch_px=16, frames_per_film=4, emitters_max=60),
)


class InterruptionError(Exception):
    """Stands for whatever ends a run: Ctrl-C, a reboot, a full disk."""


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    train = Trainer.train

    def until(trainer: Trainer, batch: Any) -> tuple[float, float]:
        if trainer.step == step:
            raise InterruptionError
        return train(trainer, batch)

    monkeypatch.setattr(Trainer, "train", until)


@contextmanager
def shallow_network() -> Iterator[None]:
    """One level instead of three, which is traced in a fraction of the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(NETWORKS, "unet", partial(unet, (16,)))  # type: ignore[arg-type]
        yield
