"""Schedules of the learning rate: a cosine, or steps on a plateau."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from smlm_training.fitting.recipes import Recipe

FACTOR = 0.1
PATIENCE_EPOCHS = 5
LEAST_RATE = 5e-5
LEAST_GAIN = 1e-4


def cosine(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then a cosine down to a hundredth."""
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate / 20,
        warmup_target=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        decay_steps=max(recipe.steps - recipe.warmup_steps, 1),
        alpha=0.01,
    )


@dataclass(frozen=True)
class Plateau:
    """Deep-STORM's schedule (doi 10.1364/OPTICA.5.000458): a tenth on a plateau, at least 5e-5.

    Keras' ``ReduceLROnPlateau`` with those settings, as a value that a
    checkpoint can hold: ``rate`` is the learning rate, ``best_loss`` the
    smallest validation loss, and ``waited_epochs`` the number of epochs since then.
    """

    rate: float
    best_loss: float = float("inf")
    waited_epochs: int = 0

    def after(self, validation_loss: float) -> Plateau:
        """The state after one more epoch."""
        if validation_loss < self.best_loss - LEAST_GAIN:
            return Plateau(self.rate, validation_loss)
        if self.waited_epochs + 1 < PATIENCE_EPOCHS or self.rate <= LEAST_RATE:
            return Plateau(self.rate, self.best_loss, self.waited_epochs + 1)
        return Plateau(max(self.rate * FACTOR, LEAST_RATE), self.best_loss)
