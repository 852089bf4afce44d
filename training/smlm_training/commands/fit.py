"""``recon-train fit``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smlm_pipeline.errors import SettingError
from smlm_training.commands.door import door
from smlm_training.commands.watch import Watch
from smlm_training.fitting.preset_files import preset_json, recipe_of
from smlm_training.fitting.recipes import PRESETS, Recipe

if TYPE_CHECKING:
    from smlm_training.fitting.runs import Start
    from smlm_training.fitting.sources import FilmFiles


def fit(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help="The run's files; an interrupted run goes on.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(help=f"One of {', '.join(PRESETS)}, or a JSON file with what differs."),
    ] = "default",
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_OR_NETWORK",
            help="Train further: a finished run, a model.onnx with its card, or a network of the "
            "model repository by its name, such as unet. Another network takes its first layers.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; by default the preset's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; by default the preset's.")] = None,
    stack: Annotated[
        Path | None,
        typer.Option(help="Film, of any format, for presets that train on one, like 'seed'."),
    ] = None,
    positions: Annotated[
        Path | None,
        typer.Option(help="Table of that film's emitters: ThunderSTORM's CSV, or a spreadsheet."),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Let a run in the folder go on; else refuse the folder.")
    ] = True,
    strategy: Annotated[
        Literal["auto", "none"], typer.Option(help="All GPUs where there are several, or one.")
    ] = "auto",
    print_preset: Annotated[
        bool, typer.Option("--print-preset", help="Show every setting as JSON, and train nothing.")
    ] = False,
) -> None:
    """Train a network; the time left is told from the first checkpoint on."""
    with door("the same command goes on from the last checkpoint"):
        recipe = _recipe(preset, steps, seed)
        if print_preset:
            typer.echo(preset_json(recipe))
            return
        if folder is None:
            raise SettingError("there is no folder; expected one for the run's files: fit FOLDER")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported
        from smlm_training.fitting import fit as training

        with Watch(recipe.steps) as watch:
            training.fit(
                recipe,
                folder,
                start=None if start is None else _start(start),
                film=_film(stack, positions),
                resume=resume,
                strategy=training.all_devices() if strategy == "auto" else None,
                command=_command(context),
                report=watch.report,
                tick=watch.tick,
            )
        typer.echo(
            f"{folder}: {recipe.network} has been trained for {recipe.steps:,} steps; "
            f"recon-train publish {folder} puts it into a model repository"
        )


def _start(path: Path) -> Start:
    from smlm_training.delivery.start import start_from

    return start_from(path)


def _recipe(preset: str, steps: int | None, seed: int | None) -> Recipe:
    recipe = recipe_of(preset)
    if steps is not None:
        recipe = recipe.shortened(steps)
    return recipe if seed is None else replace(recipe, seed=seed)


def _film(stack: Path | None, positions: Path | None) -> FilmFiles | None:
    from smlm_training.fitting.sources import FilmFiles

    if stack is None and positions is None:
        return None
    if stack is None or positions is None:
        raise SettingError(
            "only one of --stack and --positions is given; expected the film and its table"
        )
    return FilmFiles(stack, positions)


def _command(context: typer.Context) -> str:
    """What was typed, with the names of options for paths, which are the machine's own."""
    words = ["recon-train fit FOLDER"]
    for name, value in context.params.items():
        if name == "folder" or value is None or value == _default(context, name):
            continue
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else f"--no-{name}")
        elif isinstance(value, Path) or (name == "preset" and value not in PRESETS):
            words.append(f"{option} {'FILE' if name == 'preset' else name.upper()}")
        else:
            words.append(f"{option} {value}")
    return " ".join(words)


def _default(context: typer.Context, name: str) -> object:
    return next(each.default for each in context.command.params if each.name == name)
