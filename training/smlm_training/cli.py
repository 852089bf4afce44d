"""``recon-train``: simulate, fit, export and evaluate. TensorFlow is loaded where it is needed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
import typer
from numpy.typing import NDArray

from smlm_pipeline import kernels
from smlm_pipeline.errors import OutputError, ReconError, SettingError, StackError
from smlm_training import presets
from smlm_training.evaluate import BLURS_PX, score, truth_image, widefield_image
from smlm_training.figure import write_figure
from smlm_training.positions import read_positions, write_positions

app = typer.Typer(
    help="Simulate films, train the network, export it and score its images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Gets stack.tif and positions.csv.")],
    preset: Annotated[
        str, typer.Option(help=f"One of {', '.join(presets.PRESETS)}.")
    ] = "microtubules",
    frames: Annotated[int, typer.Option(min=2, max=100_000, help="Frames of the film.")] = 200,
    size_px: Annotated[int, typer.Option(min=16, max=2048, help="Height and width.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same film.")] = 1,
    photons_spread: Annotated[
        float,
        typer.Option(min=0.01, max=2, help="Relative spread of the molecules' photons."),
    ] = presets.FLUOROPHORE.photons_spread,
) -> None:
    """Simulate a film with its true positions, as ThunderSTORM would write them."""
    with _door():
        if preset not in presets.PRESETS:
            known = ", ".join(presets.PRESETS)
            raise SettingError(f"preset is {preset!r}; expected one of {known}")
        film = presets.preset_film(
            preset,
            seed=seed,
            frames=frames,
            height_px=size_px,
            width_px=size_px,
            photons_spread=photons_spread,
        )
        folder.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            folder / "stack.tif",
            film.frames_adu,
            imagej=True,
            resolution=(1000 / presets.PIXEL_SIZE_NM,) * 2,
            metadata={"axes": "TYX", "unit": "um"},
        )
        write_positions(
            folder / "positions.csv",
            film.emitters,
            height_px=size_px,
            width_px=size_px,
            pixel_size_nm=presets.PIXEL_SIZE_NM,
            offset_photons=presets.CAMERA.offset_adu / presets.CAMERA.adu_per_photon,
            background_photons=presets.BACKGROUND_PHOTONS,
        )
        count = int(film.emitters.inside(size_px, size_px).sum())
        typer.echo(f"{folder / 'stack.tif'}: {frames} frames with {count:,} emitters")


@app.command()
def evaluate(
    image: Annotated[Path, typer.Argument(help="Image that recon-client wrote.")],
    stack: Annotated[Path, typer.Option(help="The film, for its wide-field image.")],
    positions: Annotated[Path, typer.Option(help="ThunderSTORM table of the true positions.")],
    pixel_size_nm: Annotated[float, typer.Option(help="Camera pixel.")] = presets.PIXEL_SIZE_NM,
    figure: Annotated[
        Path | None, typer.Option(help="PNG of wide field, truth and image side by side.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Score an image against the true positions, beside the wide-field image."""
    with _door():
        pixels = _read(image, "image of two axes", lambda found: found.ndim == 2)
        frames = _read(
            stack,
            "film of 8- or 16-bit unsigned frames",
            lambda found: found.ndim == 3 and found.dtype in (np.uint8, np.uint16),
        ).astype(np.uint16)
        height, width = pixels.shape
        zoom = height // frames.shape[1]
        if not zoom or (height, width) != (zoom * frames.shape[1], zoom * frames.shape[2]):
            raise SettingError(f"{image} is no whole multiple of {stack} in size; are they a pair?")
        table = read_positions(positions)
        filmed = table.frame < len(frames)
        truth = truth_image(
            table.y_nm[filmed],
            table.x_nm[filmed],
            shape=(height, width),
            sr_pixel_size_nm=pixel_size_nm / zoom,
        )
        background_adu = float(kernels.film_levels(frames)[0])
        widefield = widefield_image(frames, background_adu=background_adu, zoom=zoom)
        scores = {"image": score(pixels, truth), "wide field": score(widefield, truth)}
        if figure is not None:
            panels = {"wide field": widefield, "reconstruction": pixels, "truth": truth}
            write_figure(figure, panels, sr_pixel_size_nm=pixel_size_nm / zoom)
        if as_json:
            typer.echo(json.dumps({name: vars(each) for name, each in scores.items()}, indent=2))
            return
        blurs = " / ".join(f"{blur:g}" for blur in BLURS_PX)
        for name, each in scores.items():
            errors = " / ".join(f"{value:5.1f}" for value in each.nmse_percent)
            typer.echo(f"{name:11s} NMSE {errors} % at blur {blurs} SR pixels (blank image: 100 %)")
        ratio = scores["image"].sum_ratio
        typer.echo(
            f"{'count':11s} {pixels.sum():,.0f} of {truth.sum():,.0f} emitters ({ratio:.1%})"
        )


@app.command()
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
    with _door():
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


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
) -> None:
    """Export a trained network to ONNX, with its card model.json beside it."""
    with _door():
        import keras

        from smlm_training import networks  # noqa: F401 - registers the layers of the file
        from smlm_training.card import write_card
        from smlm_training.export import export as write

        trained = folder / "network.keras"
        if not trained.exists():
            raise SettingError(f"no {trained}; expected the folder of a finished 'recon-train fit'")
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        output.parent.mkdir(parents=True, exist_ok=True)
        done = write(keras.saving.load_model(trained), output, _reference_frames())
        card = write_card(
            output, manifest, parameters=done.parameters, parity=done.parity_max_difference
        )
        typer.echo(
            f"{output}: {done.parameters:,} parameters, {done.size_bytes / 1e6:.1f} MB, at most "
            f"{done.parity_max_difference:.1e} from Keras; {card}"
        )


def _read(path: Path, expected: str, fits: Callable[[NDArray[Any]], bool]) -> NDArray[Any]:
    """Pixels of a TIFF file, if they are what is expected."""
    try:
        pixels = tifffile.imread(path)
    except (OSError, ValueError) as error:
        raise StackError(f"cannot read {path} ({error}); expected a TIFF {expected}") from error
    if not fits(pixels):
        raise StackError(
            f"{path} has shape {pixels.shape} and dtype {pixels.dtype}; expected a {expected}"
        )
    return pixels


def _reference_frames() -> NDArray[np.float32]:
    film = presets.preset_film("microtubules", seed=2, frames=16, height_px=64, width_px=64)
    levels = np.broadcast_to(kernels.film_levels(film.frames_adu), (16, 2))
    return kernels.normalize(film.frames_adu, levels)


def _tell(progress: Any) -> None:
    typer.echo(
        f"step {progress.step:,} of {progress.steps:,}  loss {progress.loss:.2f}  "
        f"{progress.seconds_left / 60:.0f} min left"
    )


@contextlib.contextmanager
def _door() -> Iterator[None]:
    """Turn errors into one message and an exit code."""
    try:
        yield
    except ReconError as error:
        typer.echo(f"recon-train: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        typer.echo(f"recon-train: {error}; is there room and a right to write?", err=True)
        raise typer.Exit(OutputError.exit_code) from error
    except KeyboardInterrupt as error:
        typer.echo("recon-train: interrupted; 'fit' on the same folder goes on", err=True)
        raise typer.Exit(130) from error
