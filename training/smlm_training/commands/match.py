"""``recon-train match``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from smlm_pipeline.cli import film_options
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM
from smlm_training.commands import train_door
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.crowding import crowding_of_places
from smlm_training.matching.estimates import Estimates, KnownCamera, estimate
from smlm_training.matching.preset import preset
from smlm_training.matching.sampling import Sample, sample_film
from smlm_training.matching.wording import rows

_CAMERA = "Camera"

_Film = Annotated[
    Path,
    typer.Argument(
        metavar="FILM", help="Film of blinking molecules: a file, or the folder of one."
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Preset to write; by default FILM.preset.json here."),
]
_Camera = Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.", rich_help_panel=_CAMERA)]
_Gain = Annotated[
    float | None,
    typer.Option(
        min=1e-6,
        help="If known: all of it, from photon to ADU, EM gain included.",
        rich_help_panel=_CAMERA,
    ),
]
_Offset = Annotated[
    float | None,
    typer.Option(min=0, help="If known: reading without light.", rich_help_panel=_CAMERA),
]
_PixelSize = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="Camera pixel, for emitters per square micrometre; by default the film's own, else "
        f"{DEFAULT_PIXEL_SIZE_NM:g}.",
        show_default=False,
        rich_help_panel=_CAMERA,
    ),
]


def match(
    film: _Film,
    output: _Output = None,
    camera: _Camera = "emccd",
    gain_adu_per_photon: _Gain = None,
    offset_adu: _Offset = None,
    pixel_size_nm: _PixelSize = None,
    frames: film_options.Frames = None,
    roi: film_options.Roi = None,
    channel: film_options.Channel = None,
    z: film_options.Plane = None,
    position: film_options.Position = None,
    time_axis: film_options.TimeAxis = None,
    pattern: film_options.Pattern = None,
    allow_partial: film_options.AllowPartial = False,
) -> None:
    """Measure optics, molecules and camera of a film; write a preset to fit a network by."""
    with train_door():
        if camera not in KINDS:
            raise SettingError(f"camera is {camera!r}; expected one of {', '.join(KINDS)}")
        selection = film_options.selection_of(
            channel, z, position, time_axis, frames=frames, roi=roi, pattern=pattern
        )
        with open_film(film, selection, allow_partial=allow_partial) as opened:
            pixel_size = opened.pixel_size(pixel_size_nm)
            for note in (
                *opened.warnings,
                *opened.notes,
                *opened.notes_on_ends(),
                *pixel_size.notes,
            ):
                typer.echo(f"recon-train: {note}", err=True)
            sample = sample_film(opened)
        known = KnownCamera(KINDS[camera], gain_adu_per_photon, offset_adu)
        estimates = estimate(sample.frames_adu, known, sample.pairs_adu)
        path = Path(f"{film.stem}.preset.json") if output is None else output
        source = _source(film, sample, camera, pixel_size.nm)
        _write(path, estimates, sample, known, source)
        _print(estimates, known, sample, pixel_size.nm)
        typer.echo(
            f"{path}: train the shipped network further with\n"
            f"  recon-train fit FOLDER --preset {path} --start unet"
        )


def _source(film: Path, sample: Sample, camera: str, pixel_size_nm: float) -> dict[str, object]:
    count, height, width = sample.frames_adu.shape
    return {
        "stack": film.name,
        "frames": count,
        "window_px": [sample.top_px, sample.left_px, height, width],
        "camera": camera,
        "pixel_size_nm": pixel_size_nm,
    }


def _write(
    path: Path,
    estimates: Estimates,
    sample: Sample,
    known: KnownCamera,
    source: dict[str, object],
) -> None:
    crowding = crowding_of_places(sample.frames_adu)
    text = json.dumps(preset(estimates, crowding, known.kind, source), indent=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _print(estimates: Estimates, known: KnownCamera, sample: Sample, pixel_size_nm: float) -> None:
    count, height, width = sample.frames_adu.shape
    film = " x ".join(str(size) for size in sample.film_shape)
    part = f"{count} frames of {height} x {width} px, of a film of {film}"
    table = Table(
        "quantity", "value", "±", "confidence", "method", title=part, title_justify="left"
    )
    for row in rows(estimates, known, pixel_size_nm=pixel_size_nm, area_px2=height * width):
        table.add_row(row.name, row.value, row.uncertainty, row.sureness, row.why)
    Console().print(table)
