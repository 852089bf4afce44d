"""Train a network; a run can be stopped and resumed at any checkpoint.

The folder of a run holds ``manifest.json`` (every setting, seed and version),
``history.csv``, ``tensorboard/``, ``state.npz`` (weights and optimiser, replaced as a
whole at each checkpoint) and, at the end, ``network.keras``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from smlm_pipeline.errors import SettingError
from smlm_training.fitting.checkpoints import load_state, save_state
from smlm_training.fitting.recipes import Recipe
from smlm_training.fitting.runs import (
    Start,
    append_history,
    begin_manifest,
    check_same_run,
    described,
    drop_history_after,
    resume_manifest,
    save_network,
    scalars_to,
)
from smlm_training.fitting.sources import FilmFiles, Source, source_of
from smlm_training.fitting.stream import Stream
from smlm_training.fitting.trainer import Trainer

BATCHES_AHEAD = 32
"""Most batches prepared in advance: two blocks of films of the default preset."""


@dataclass
class Progress:
    """Report of a run at a checkpoint, about the steps since the last one.

    ``trained_s`` is the time that these steps took, and ``waited_s`` the part of it spent
    waiting for data; ``seconds_left`` is the time to the end of the run.
    """

    step: int
    steps: int
    loss: float
    count_loss: float
    validation_loss: float
    learning_rate: float
    trained_s: float
    waited_s: float
    steps_per_s: float
    wait_share: float
    seconds_left: float


def all_devices() -> tf.distribute.Strategy:
    """Every GPU where there are several, else TensorFlow's own choice of one device."""
    if len(_gpus()) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def fit(
    recipe: Recipe,
    folder: Path,
    *,
    start: Start | None = None,
    film: FilmFiles | None = None,
    resume: bool = True,
    strategy: tf.distribute.Strategy | None = None,
    command: str = "",
    report: Callable[[Progress], None] = lambda _progress: None,
    tick: Callable[[int, float], None] = lambda _step, _loss: None,
    say: Callable[[str], None] = lambda _line: None,
) -> keras.Model:
    """Train by ``recipe`` in ``folder``, continuing from its last checkpoint.

    Parameters
    ----------
    recipe : Recipe
        The network and its training.
    folder : Path
        Folder of the run's files; an interrupted run continues there.
    start : Start, optional
        A trained network, or one with the same first layers, to train further.
    film : FilmFiles, optional
        The film of a recipe that trains on one.
    resume : bool
        Whether a run in the folder continues; otherwise it is refused, not replaced.
    strategy : tf.distribute.Strategy, optional
        As from ``all_devices``; by default one device.
    command : str
        The command as typed, for the manifest.
    report : callable
        Called with a ``Progress`` at each checkpoint.
    tick : callable
        Called at each step, with the number of steps done and the loss of the last.
    say : callable
        Called with a line where the start is another network: which weights it has not.

    Returns
    -------
    keras.Model
        The trained network, in float32: the weights' average where the recipe
        keeps one, the best by the validation loss where its schedule is a plateau.

    Raises
    ------
    SettingError
        If the folder holds a run by another recipe, or any run and ``resume`` is
        false; if the recipe needs a start and there is none, or one that begins with
        other layers; if data or memory do not suffice; or if the loss is no longer
        finite.
    FilmError
        If the film cannot be used.
    """
    strategy = strategy or tf.distribute.get_strategy()
    with _own_precision(), _memory(recipe):
        source = source_of(recipe, film)
        trainer = _trainer(recipe, folder, source, start, resume, strategy, command)
        if trainer.fresh:
            say(
                f"the start has no {', '.join(trainer.fresh)}: they begin fresh, all other weights "
                "are the start's"
            )
        if trainer.step < recipe.steps:
            _train(trainer, source, folder, report, tick)
        network = trainer.network()
        save_network(folder, network)
        return network


def _trainer(
    recipe: Recipe,
    folder: Path,
    source: Source,
    start: Start | None,
    resume: bool,
    strategy: tf.distribute.Strategy,
    command: str,
) -> Trainer:
    """A trainer at the run's last checkpoint or at its beginning, as the manifest records."""
    devices = f"{strategy.num_replicas_in_sync} x {'GPU' if _gpus() else 'CPU'}"
    now = described(recipe, source.described(), command=command, devices=devices)
    state = load_state(folder)
    if state is None:
        if recipe.start_required and start is None:
            raise SettingError(
                "the preset continues from a trained network, and none is given; expected --start, "
                "for example --start unet"
            )
        weights = None if start is None else start.weights
        trainer = Trainer(recipe, strategy, weights=weights)
        folder.mkdir(parents=True, exist_ok=True)
        begin_manifest(folder, now, start)
        return trainer
    if not resume:
        raise SettingError(
            f"{folder} holds a run at step {state.step:,}; expected a folder without a run: take "
            "another, or continue this run with --resume"
        )
    check_same_run(folder, now, start)
    trainer = Trainer(recipe, strategy, state=state)
    if state.step < recipe.steps:
        resume_manifest(folder, now, state.step)
        drop_history_after(folder, state.step)
    return trainer


def _gpus() -> list[tf.config.LogicalDevice]:
    return tf.config.list_logical_devices("GPU")


def _train(
    trainer: Trainer,
    source: Source,
    folder: Path,
    report: Callable[[Progress], None],
    tick: Callable[[int, float], None],
) -> None:
    """Train epoch by epoch, with a checkpoint after each."""
    recipe = trainer.recipe
    started, first_step = time.monotonic(), trainer.step
    with (
        Stream(source.training(trainer.step), ahead=BATCHES_AHEAD) as stream,
        scalars_to(folder / "tensorboard") as write,
    ):
        while trainer.step < recipe.steps:
            part = _epoch(trainer, stream, tick)
            part["validation_loss"] = trainer.validate(source.validation())
            pace_s = (time.monotonic() - started) / (trainer.step - first_step)
            left_s = pace_s * (recipe.steps - trainer.step)
            progress = Progress(trainer.step, recipe.steps, seconds_left=left_s, **part)
            append_history(folder, asdict(progress))
            save_state(folder, trainer.state())
            write(trainer.step, part)
            report(progress)


def _epoch(
    trainer: Trainer, stream: Stream, tick: Callable[[int, float], None]
) -> dict[str, float]:
    """Train to the end of the epoch; the report of its steps."""
    recipe, first_step = trainer.recipe, trainer.step
    end = min((first_step // recipe.epoch_steps + 1) * recipe.epoch_steps, recipe.steps)
    begun, waited_s, losses = time.perf_counter(), stream.waited_s, []
    learning_rate = trainer.learning_rate
    while trainer.step < end:
        losses.append(trainer.train(next(stream)))
        tick(trainer.step, losses[-1][0])
    trained_s, waited_s = time.perf_counter() - begun, stream.waited_s - waited_s
    loss, count = np.mean(losses, axis=0).tolist()
    if not math.isfinite(loss):
        raise SettingError(
            f"the loss is {loss} after step {end:,}; expected a number: lower learning_rate in the "
            "preset; the last checkpoint is kept"
        )
    return {
        "loss": loss,
        "count_loss": count,
        "learning_rate": learning_rate,
        "trained_s": trained_s,
        "waited_s": waited_s,
        "steps_per_s": (end - first_step) / trained_s,
        "wait_share": waited_s / trained_s,
    }


@contextmanager
def _own_precision() -> Iterator[None]:
    """Restore Keras' precision, which is global, at the end of a run."""
    before = keras.mixed_precision.dtype_policy()
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


@contextmanager
def _memory(recipe: Recipe) -> Iterator[None]:
    """State which setting to lower where memory does not suffice."""
    patch = "ranges.patch_px" if recipe.data == "simulated" else "cut.patch_px"
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingError(
            f"out of memory ({reason}); expected room for batches of {recipe.batch}: lower "
            f"batch or {patch} in the preset; a run continues by the same recipe only"
        ) from error
