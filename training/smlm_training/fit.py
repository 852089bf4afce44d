"""Train a network on endless simulated films; stop and resume at will.

The folder of a run holds ``manifest.json`` (every setting, seed and version),
``history.csv``, ``state.npz`` (weights and optimiser, replaced as a whole at each
checkpoint) and, at the end, ``network.keras``.
"""

from __future__ import annotations

import csv
import json
import platform
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.datasets import Batch, Ranges, batches
from smlm_training.losses import count_loss, detection_loss
from smlm_training.networks import NETWORKS


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which network comes out of a run."""

    network: str = "unet"
    seed: int = 20261122
    batch: int = 16
    steps: int = 56_000
    float32_steps: int = 7_000
    """The last steps compute in float32; those before in bfloat16, 1.6 times as fast."""
    learning_rate: float = 1e-3
    warmup_steps: int = 500
    ranges: Ranges = field(default_factory=Ranges)


RECIPES = {
    "default": Recipe(),
    "finish": Recipe(
        seed=20261123,
        steps=4_000,
        float32_steps=4_000,
        learning_rate=2e-4,
        warmup_steps=200,
        ranges=Ranges(photons_spread=(0.05, 0.3)),
    ),
}
"""By the name that the command line takes. ``finish`` follows ``default``: it narrows how much
molecules of a film differ in brightness, which decides how many are counted where they overlap."""


@dataclass
class Progress:
    """What a run reports as it goes on."""

    step: int
    steps: int
    loss: float
    count_loss: float
    seconds_left: float


def fit(
    recipe: Recipe,
    folder: Path,
    *,
    start: Path | None = None,
    checkpoint_steps: int = 800,
    report: Callable[[Progress], None] = lambda _progress: None,
) -> keras.Model:
    """Train by ``recipe`` in ``folder``, going on from its last checkpoint.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    folder : Path
        Where the run's files lie; a run that was interrupted goes on there.
    start : Path, optional
        Folder of a finished run whose network is trained further.
    checkpoint_steps : int
        Steps between checkpoints, rounded to whole blocks of films.
    report : callable
        Called with a ``Progress`` at each checkpoint.

    Returns
    -------
    keras.Model
        The trained network, in float32.

    Raises
    ------
    SettingError
        If the folder holds a run by another recipe, or the start has no network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = None if start is None else _trained_weights(start)
    _write_manifest(recipe, folder, start)
    run = _Run(recipe, folder / "state.npz", weights)
    block_steps = recipe.ranges.frames_per_film
    every = max(checkpoint_steps // block_steps, 1) * block_steps
    started, first_step = time.monotonic(), run.step
    with closing(_stream(recipe, run.step // block_steps)) as stream:
        while run.step < recipe.steps:
            losses = [run.train(next(stream)) for _ in range(min(every, recipe.steps - run.step))]
            loss, count = np.mean(losses, axis=0)
            run.save()
            pace_s = (time.monotonic() - started) / (run.step - first_step)
            left_s = pace_s * (recipe.steps - run.step)
            progress = Progress(run.step, recipe.steps, float(loss), float(count), left_s)
            _append_history(folder / "history.csv", progress)
            report(progress)
    model = run.model_in("float32")
    model.save(folder / "network.keras")
    return model


class _Run:
    """Weights, optimiser and step of a run, in the precision of its present phase."""

    def __init__(
        self, recipe: Recipe, state_file: Path, weights: list[NDArray[Any]] | None
    ) -> None:
        self.recipe = recipe
        self.step = 0
        self._state_file = state_file
        keras.utils.set_random_seed(recipe.seed)
        self._enter(self._precision())
        if weights is not None:
            self._model.set_weights(weights)
        if state_file.exists():
            with np.load(state_file) as state:
                self.step = int(state["step"])
                values = [state[f"v{index}"] for index in range(len(state.files) - 1)]
            self._enter(self._precision(), values)

    def _precision(self) -> str:
        last = self.step >= self.recipe.steps - self.recipe.float32_steps
        return "float32" if last else "mixed_bfloat16"

    def model_in(self, precision: str) -> keras.Model:
        """The network with the present weights, computing in ``precision``."""
        values = [np.asarray(variable) for variable in self._variables()]
        self._enter(precision, values)
        return self._model

    def _enter(self, precision: str, values: list[NDArray[Any]] | None = None) -> None:
        keras.mixed_precision.set_dtype_policy(precision)
        self._active_precision = precision
        self._model = NETWORKS[self.recipe.network]()
        self._optimizer = keras.optimizers.Adam(_schedule(self.recipe), global_clipnorm=1.0)
        self._optimizer.build(self._model.trainable_variables)
        for variable, value in zip(self._variables(), values or [], strict=values is not None):
            variable.assign(value)
        self._step_function = tf.function(self._train_step, autograph=False)

    def _variables(self) -> list[keras.Variable]:
        return [*self._model.variables, *self._optimizer.variables]

    def train(self, batch: Batch) -> tuple[float, float]:
        """One step of the optimiser; loss per frame, and its count part."""
        if self._precision() != self._active_precision:
            self.model_in(self._precision())
        loss, count = self._step_function(batch.normalized, batch.position_px, batch.present)
        self.step += 1
        return float(loss), float(count)

    def _train_step(
        self, normalized: tf.Tensor, position_px: tf.Tensor, present: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            detections = self._model(normalized, training=True)
            loss = tf.reduce_mean(detection_loss(detections, position_px, present))
            scaled = loss / 100
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        self._optimizer.apply(gradients, self._model.trainable_variables)
        return loss, tf.reduce_mean(count_loss(detections, present))

    def save(self) -> None:
        """Replace the checkpoint; an interrupted write leaves the last one whole."""
        values: dict[str, Any] = {
            f"v{index}": np.asarray(variable) for index, variable in enumerate(self._variables())
        }
        values["step"] = self.step
        beside = self._state_file.with_suffix(".partial.npz")
        np.savez(beside, **values)
        beside.replace(self._state_file)


def _schedule(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then a cosine down to a hundredth."""
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate / 20,
        warmup_target=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        decay_steps=max(recipe.steps - recipe.warmup_steps, 1),
        alpha=0.01,
    )


def _stream(recipe: Recipe, first_block: int) -> Generator[Batch, None, None]:
    """Batches made ahead by a background thread, so that training seldom waits for them."""
    made = batches(recipe.ranges, seed=recipe.seed, batch=recipe.batch, first_block=first_block)
    simulator = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulator")
    try:
        wanted = range(2 * recipe.ranges.frames_per_film)
        ahead = deque(simulator.submit(next, made) for _ in wanted)
        while True:
            yield ahead.popleft().result()
            ahead.append(simulator.submit(next, made))
    finally:
        simulator.shutdown(cancel_futures=True)


def _trained_weights(run: Path) -> list[NDArray[Any]]:
    """Weights of a finished run's network."""
    file = run / "network.keras"
    if not file.exists():
        raise SettingError(f"no {file}; expected the folder of a finished 'recon-train fit'")
    weights: list[NDArray[Any]] = keras.saving.load_model(file).get_weights()
    return weights


def _write_manifest(recipe: Recipe, folder: Path, start: Path | None) -> None:
    """State the recipe, unless the folder's weights were trained by another one."""
    path = folder / "manifest.json"
    stated = json.loads(json.dumps(asdict(recipe)))
    if (folder / "state.npz").exists() and path.exists():
        begun = json.loads(path.read_text())["recipe"]
        if begun != stated:
            changed = sorted(name for name in stated if begun.get(name) != stated[name])
            raise SettingError(
                f"{folder} holds a run by another recipe ({', '.join(changed)}); "
                "expected the same one to go on with: take another folder"
            )
    versions = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
    manifest = {"recipe": stated, "versions": versions}
    if start is not None:
        manifest["start"] = json.loads((start / "manifest.json").read_text())
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def _append_history(path: Path, progress: Progress) -> None:
    row = asdict(progress)
    new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
