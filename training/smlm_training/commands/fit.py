"""``recon-train fit``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from smlm_pipeline.errors import SettingError
from smlm_training.commands.door import door


def fit(
    folder: Annotated[Path, typer.Argument(help="The run's files; an interrupted run goes on.")],
    recipe_name: Annotated[
        str, typer.Option("--recipe", help="'default', or 'finish' to end a default run with.")
    ] = "default",
    start: Annotated[
        Path | None, typer.Option(help="Folder of a finished run whose network to train further.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; by default the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; by default the recipe's.")] = None,
) -> None:
    """Train the network on simulated films (the recipe: an hour and a half on two CPU cores)."""
    with door():
        from smlm_training import fit as training

        if recipe_name not in training.RECIPES:
            known = ", ".join(training.RECIPES)
            raise SettingError(f"recipe is {recipe_name!r}; expected one of {known}")
        recipe = training.RECIPES[recipe_name]
        if steps is not None:
            share = recipe.float32_steps / recipe.steps
            recipe = replace(recipe, steps=steps, float32_steps=round(steps * share))
        if seed is not None:
            recipe = replace(recipe, seed=seed)
        training.fit(recipe, folder, start=start, report=_tell)


def _tell(progress: Any) -> None:
    typer.echo(
        f"step {progress.step:,} of {progress.steps:,}  loss {progress.loss:.2f}  "
        f"{progress.seconds_left / 60:.0f} min left"
    )
