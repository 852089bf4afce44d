"""Network and optimiser of a run, in the precision of its present phase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.fitting.checkpoints import State
from smlm_training.fitting.datasets import Batch
from smlm_training.fitting.objectives import objective_of
from smlm_training.fitting.recipes import Recipe
from smlm_training.fitting.schedules import Plateau, cosine
from smlm_training.fitting.stream import Tensors
from smlm_training.networks import NETWORKS, kind_of

LOSS_UNIT = 100
"""Losses are summed over a frame; in this unit their gradients are about 1."""


class Trainer:
    """Trains a network by a recipe, one step at a time.

    Parameters
    ----------
    recipe : Recipe
        The network and its training.
    strategy : tf.distribute.Strategy
        Devices: each replica takes its share of every batch.
    weights : list of ndarray, optional
        Initial weights; those of another network are used as far as they fit.
    state : State, optional
        A checkpoint of this recipe to continue from.

    Raises
    ------
    SettingError
        If there is no such network, a batch cannot be shared among the replicas,
        the network takes no patches of this size, or state or weights are those
        of another network.
    """

    def __init__(
        self,
        recipe: Recipe,
        strategy: tf.distribute.Strategy,
        *,
        weights: list[NDArray[Any]] | None = None,
        state: State | None = None,
    ) -> None:
        self.recipe = recipe
        self.step = 0
        self._strategy = strategy
        self._replicas: int = strategy.num_replicas_in_sync
        kind = kind_of(recipe.network)
        multiple_px = kind.size_multiple_px
        if recipe.patch_px % multiple_px:
            raise SettingError(
                f"patches have edges of {recipe.patch_px} pixels; expected a multiple of "
                f"{multiple_px} for the network {recipe.network!r}"
            )
        if recipe.batch % self._replicas:
            raise SettingError(
                f"batch is {recipe.batch}, and there are {self._replicas} devices; expected a "
                "multiple of that, or --strategy none to train on one"
            )
        self._objective = objective_of(
            kind.answer, l1_weight=recipe.l1_weight, grid_weight=recipe.grid_weight
        )
        self._plateau = Plateau(recipe.learning_rate) if recipe.schedule == "plateau" else None
        self._best: list[NDArray[Any]] | None = None
        keras.utils.set_random_seed(recipe.seed)
        self._enter(self._precision())
        self.fresh: list[str] = []
        if weights is not None:
            self.fresh = begin_with(self._model.weights, weights)
        if state is not None:
            self.step, self._plateau, self._best = state.step, state.plateau, state.best
            self._enter(self._precision(), state.values)

    def _precision(self) -> str:
        last = self.step >= self.recipe.steps - self.recipe.float32_steps
        return "float32" if last else "mixed_bfloat16"

    def _enter(self, precision: str, values: list[NDArray[Any]] | None = None) -> None:
        """Build network and optimiser again, since Keras fixes a layer's precision at its creation.

        TensorFlow's graph optimiser orders sums by the names of the layers, and names are
        counted on: without a new session, a resumed run differs in the last bit.
        """
        keras.utils.clear_session()
        keras.mixed_precision.set_dtype_policy(precision)
        self._active_precision = precision
        with self._strategy.scope():
            self._model = NETWORKS[self.recipe.network]()
            self._optimizer = self._new_optimizer()
            self._optimizer.build(self._model.trainable_variables)
        if values is not None:
            _assign(self._variables(), values)
        self._step_function = tf.function(self._train_step, autograph=False)
        self._loss_function = tf.function(self._loss, autograph=False)

    def _new_optimizer(self) -> keras.optimizers.Optimizer:
        recipe = self.recipe
        average = {"use_ema": True, "ema_momentum": recipe.average_decay}
        return keras.optimizers.Adam(
            cosine(recipe) if self._plateau is None else self._plateau.rate,
            global_clipnorm=recipe.clip_norm or None,
            **(average if recipe.average_decay else {}),
        )

    def _variables(self) -> list[keras.Variable]:
        return [*self._model.variables, *self._optimizer.variables]

    def state(self) -> State:
        """The state that the run continues from."""
        return State(self.step, _values(self._variables()), self._plateau, self._best)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self._optimizer.learning_rate)

    def train(self, batch: Tensors) -> tuple[float, float]:
        """One step of the optimiser; loss per frame, and its count part."""
        if self._precision() != self._active_precision:
            self._enter(self._precision(), _values(self._variables()))
        shares = zip(*(tf.split(part, self._replicas) for part in batch), strict=True)
        loss, count = self._step_function(*self._shared(list(shares)))
        self.step += 1
        return float(loss), float(count)

    def _shared(self, shares: list[Tensors]) -> list[Any]:
        """Each replica's share of every part of a batch, as its strategy takes them."""
        return [
            self._strategy.experimental_distribute_values_from_function(
                lambda context, part=part: shares[context.replica_id_in_sync_group][part]
            )
            for part in range(len(shares[0]))
        ]

    def _train_step(self, *batch: Any) -> tuple[Any, Any]:
        """Gradients are averaged over the replicas before they are clipped, as on one device."""
        gradients, losses = self._strategy.run(self._gradients, args=batch)
        mean = [self._mean(gradient) for gradient in gradients]
        self._optimizer.apply(mean, self._model.trainable_variables)
        return self._mean(losses[0]), self._mean(losses[1])

    def _mean(self, of_replicas: Any) -> Any:
        return self._strategy.reduce("MEAN", of_replicas, axis=None)

    def _gradients(self, normalized: Any, *truth: Any) -> tuple[list[Any], tuple[Any, Any]]:
        with tf.GradientTape() as tape:
            answer = self._model(normalized, training=True)
            losses, counts = self._objective(answer, *truth)
            loss = tf.reduce_mean(losses)
            scaled = loss / LOSS_UNIT
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        return gradients, (loss, tf.reduce_mean(counts))

    def _loss(self, normalized: Any, *truth: Any) -> Any:
        answer = self._model(normalized, training=False)
        return tf.reduce_sum(self._objective(answer, *truth)[0])

    def validate(self, batches: Iterable[Batch]) -> float:
        """Loss per frame of the present network; updates the plateau and its best network."""
        loss, frames = 0.0, 0
        with self._averaged():
            for batch in batches:
                truth = (batch.position_px, batch.present, batch.intensity)
                loss += float(self._loss_function(batch.normalized, *truth))
                frames += len(batch.present)
        loss /= frames
        if self._plateau is not None:
            before, self._plateau = self._plateau, self._plateau.after(loss)
            if self._plateau.best_loss < before.best_loss:
                self._best = _values(self._model.variables)
            self._optimizer.learning_rate = self._plateau.rate
        return loss

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Use the average of the weights, where the recipe keeps one."""
        weights = _values(self._model.variables)
        if self.recipe.average_decay:
            self._optimizer.finalize_variable_values(self._model.trainable_variables)
        try:
            yield
        finally:
            _assign(self._model.variables, weights)

    def network(self) -> keras.Model:
        """The network that the run ends with, in float32 and on one device.

        With the schedule ``plateau`` it is the one of the least validation loss.
        """
        with self._averaged():
            weights = self._best or _values(self._model.variables)
        keras.mixed_precision.set_dtype_policy("float32")
        network = NETWORKS[self.recipe.network]()
        _assign(network.variables, weights)
        return network


def _values(variables: list[keras.Variable]) -> list[NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def begin_with(variables: list[keras.Variable], values: list[NDArray[Any]]) -> list[str]:
    """Fill the first variables, as far as the values have their shapes; the others' paths.

    The same network takes all of them; a network with another answer takes the layers
    before it, so one trunk serves detections and maps.
    """
    alike = 0
    for variable, value in zip(variables, values, strict=False):
        if tuple(variable.shape) != value.shape:
            break
        alike += 1
    if alike == 0:
        raise SettingError(
            "the start's network begins with other layers; expected a run of the same network, or "
            "of one with the same trunk"
        )
    _assign(variables[:alike], values[:alike])
    return [variable.path for variable in variables[alike:]]


def _assign(variables: list[keras.Variable], values: list[NDArray[Any]]) -> None:
    """Fill variables with values of the same shapes."""
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise SettingError(
            "the weights belong to another network, or to another version of it; expected a run "
            "that this version began: take another folder or another start"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
