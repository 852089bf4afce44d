"""Training runs that fail: why is told, and the last checkpoint stays whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import keras
import tensorflow as tf

from fakes.short_runs import RECIPE, InterruptionError, interrupt_at, shallow_network
from smlm_pipeline.errors import SettingError
from smlm_training.fitting import sources
from smlm_training.fitting.datasets import batches
from smlm_training.fitting.fit import fit
from smlm_training.fitting.trainer import Trainer

pytestmark = pytest.mark.training


@pytest.fixture(scope="module", autouse=True)
def _shallow_network() -> Iterator[None]:
    with shallow_network():
        yield


def test_an_interrupted_checkpoint_leaves_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savez, steps = np.savez, []

    def tear(path: Path, **values: Any) -> None:
        steps.append(values["step"])
        savez(path, **values)
        if len(steps) == 2:
            path.write_bytes(path.read_bytes()[:1000])
            raise InterruptionError

    monkeypatch.setattr(np, "savez", tear)
    with pytest.raises(InterruptionError, match=r"^$"):
        fit(RECIPE, tmp_path)
    assert steps == [4, 8]
    with np.load(tmp_path / "state.npz") as state:
        assert state["step"] == 4
        assert all(np.isfinite(state[name]).all() for name in state.files)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ArithmeticError("no such film"), ArithmeticError, "no such film"),
        (
            MemoryError("no room"),
            SettingError,
            r"out of memory \(no room\).*batches of 2: lower batch or ra",
        ),
    ],
    ids=["any", "memory"],
)
def test_an_error_of_the_simulator_ends_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    raised: type[Exception],
    message: str,
) -> None:
    """As it is, although it happens in a thread of tf.data's."""

    def two_batches(*arguments: Any, **settings: Any) -> Iterator[Any]:
        stream = batches(*arguments, **settings)
        yield from (next(stream), next(stream))
        raise error

    monkeypatch.setattr(sources, "batches", two_batches)
    with pytest.raises(raised, match=message):
        fit(RECIPE, tmp_path)
    assert not (tmp_path / "state.npz").exists()


def test_short_memory_of_the_device_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nlong story")

    monkeypatch.setattr(Trainer, "train", exhausted)
    with pytest.raises(
        SettingError, match=r"out of memory \(OOM when allocating\); expected room for bat"
    ):
        fit(RECIPE, tmp_path)


def test_a_loss_that_is_no_number_ends_the_run_at_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Trainer.train

    def diverge(trainer: Trainer, batch: Any) -> tuple[float, float]:
        loss, count = train(trainer, batch)
        return (loss if trainer.step < 6 else float("nan")), count

    monkeypatch.setattr(Trainer, "train", diverge)
    with pytest.raises(SettingError, match=r"loss is nan after step 8; .*lower learning_rate"):
        fit(RECIPE, tmp_path)
    with np.load(tmp_path / "state.npz") as state:
        assert state["step"] == 4


def test_precision_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keras.mixed_precision.dtype_policy().name == "float32"
    interrupt_at(monkeypatch, 2)
    with pytest.raises(InterruptionError, match=r"^$"):
        fit(RECIPE, tmp_path)
    assert keras.mixed_precision.dtype_policy().name == "float32"
