"""``recon-train evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from smlm_pipeline import kernels
from smlm_pipeline.errors import SettingError
from smlm_training import presets
from smlm_training.commands.door import door, read_pixels
from smlm_training.evaluate import BLURS_PX, score, truth_image, widefield_image
from smlm_training.figure import write_figure
from smlm_training.positions import read_positions


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
    with door():
        pixels = read_pixels(image, "image of two axes", lambda found: found.ndim == 2)
        frames = read_pixels(
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
