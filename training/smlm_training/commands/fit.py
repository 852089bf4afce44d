"""``recon-train fit``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.errors import SettingError
from smlm_training.commands import train_door
from smlm_training.commands.watch import Watch
from smlm_training.fitting.preset_files import preset_json, recipe_of
from smlm_training.fitting.recipes import PRESETS, Recipe

with imported_when_used():
    from smlm_training.delivery import start as starts
    from smlm_training.fitting import fit as training
    from smlm_training.fitting import sources

_RECIPE, _FILM, _RUN = "Recipe", "Film, for presets that train on one", "Run"


def fit(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of the run; an interrupted run continues.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(PRESETS)}, or a JSON file with the settings that differ.",
            rich_help_panel=_RECIPE,
        ),
    ] = "default",
    start: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN_OR_NETWORK",
            help="Train further: a finished run, a model.onnx with its card, or a network of the "
            "model repository by its name, such as unet. Another network takes its first layers. "
            "Given again, it is the mean of the weights.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Optimiser steps; by default the preset's.", rich_help_panel=_RECIPE
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seed of the random numbers; by default the preset's.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    print_preset: Annotated[
        bool,
        typer.Option(
            "--print-preset",
            help="Print every setting as JSON, and train nothing.",
            rich_help_panel=_RECIPE,
        ),
    ] = False,
    stack: Annotated[
        Path | None,
        typer.Option(metavar="FILM", help="Film, of any format.", rich_help_panel=_FILM),
    ] = None,
    positions: Annotated[
        Path | None,
        typer.Option(
            help="Table of the film's emitters: ThunderSTORM's CSV, or a spreadsheet.",
            rich_help_panel=_FILM,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(help="Continue a run in the folder; else refuse it.", rich_help_panel=_RUN),
    ] = True,
    strategy: Annotated[
        Literal["auto", "none"],
        typer.Option(help="All GPUs where there are several, or one.", rich_help_panel=_RUN),
    ] = "auto",
) -> None:
    """Train a network; the first checkpoint and all later ones report the time left."""
    with train_door(if_interrupted="the same command continues from the last checkpoint"):
        recipe = _recipe(preset, steps, seed)
        if print_preset:
            typer.echo(preset_json(recipe))
            return
        if folder is None:
            raise SettingError("there is no folder; expected one for the run's files: fit FOLDER")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported
        with Watch(recipe.steps) as watch:
            training.fit(
                recipe,
                folder,
                start=starts.mean_of([starts.start_from(each) for each in start or []]),
                film=_film(stack, positions),
                resume=resume,
                strategy=training.all_devices() if strategy == "auto" else None,
                command=_command(context),
                report=watch.report,
                tick=watch.tick,
                say=watch.say,
            )
        typer.echo(
            f"{folder}: {recipe.network} has been trained for {recipe.steps:,} steps; "
            f"recon-train publish {folder} puts it into a model repository"
        )


def _recipe(preset: str, steps: int | None, seed: int | None) -> Recipe:
    recipe = recipe_of(preset)
    if steps is not None:
        recipe = recipe.shortened(steps)
    return recipe if seed is None else replace(recipe, seed=seed)


def _film(stack: Path | None, positions: Path | None) -> sources.FilmFiles | None:
    if stack is None and positions is None:
        return None
    if stack is None or positions is None:
        raise SettingError(
            "only one of --stack and --positions is given; expected the film and its table"
        )
    return sources.FilmFiles(stack, positions)


def _command(context: typer.Context) -> str:
    """The command as typed, with names of options in place of this machine's paths."""
    words = ["recon-train fit FOLDER"]
    defaults = {parameter.name: parameter.default for parameter in context.command.params}
    for name, value in context.params.items():
        if name == "folder" or value in (None, (), defaults[name]):
            continue
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else f"--no-{name}")
        elif isinstance(value, list):
            words += [f"{option} {name.upper()}"] * len(value)
        elif isinstance(value, Path) or (name == "preset" and value not in PRESETS):
            words.append(f"{option} {'FILE' if name == 'preset' else name.upper()}")
        else:
            words.append(f"{option} {value}")
    return " ".join(words)
