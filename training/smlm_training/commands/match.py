"""``recon-train match``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from smlm_pipeline.errors import SettingError
from smlm_training.commands import train_door
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.crowding import crowding_of_places
from smlm_training.matching.estimates import Estimates, KnownCamera, estimate
from smlm_training.matching.preset import preset
from smlm_training.matching.sampling import Sample, sample_film
from smlm_training.matching.wording import rows
from smlm_training.simulation import presets


def match(
    stack: Annotated[Path, typer.Argument(help="TIFF film of blinking molecules.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Preset to write; by default STACK.preset.json here."),
    ] = None,
    camera: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.")] = "emccd",
    gain_adu_per_photon: Annotated[
        float | None,
        typer.Option(min=1e-6, help="If known: all of it, from photon to ADU, EM gain included."),
    ] = None,
    offset_adu: Annotated[
        float | None, typer.Option(min=0, help="If known: reading without light.")
    ] = None,
    pixel_size_nm: Annotated[
        float, typer.Option(min=1, help="Camera pixel, for emitters per square micrometre.")
    ] = presets.PIXEL_SIZE_NM,
) -> None:
    """Measure optics, molecules and camera of a film; write a preset to fit a network by."""
    with train_door():
        if camera not in KINDS:
            raise SettingError(f"camera is {camera!r}; expected one of {', '.join(KINDS)}")
        known = KnownCamera(KINDS[camera], gain_adu_per_photon, offset_adu)
        sample = sample_film(stack)
        found = estimate(sample.frames_adu, known)
        crowding = crowding_of_places(sample.frames_adu)
        source = _source(stack, sample, camera, pixel_size_nm)
        path = Path(f"{stack.stem}.preset.json") if output is None else output
        text = json.dumps(preset(found, crowding, known.kind, source), indent=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        _tell(found, known, sample, pixel_size_nm)
        typer.echo(
            f"{path}: train the network that ships further by it with\n"
            f"  recon-train fit FOLDER --preset {path} --start unet"
        )


def _source(stack: Path, sample: Sample, camera: str, pixel_size_nm: float) -> dict[str, object]:
    measured, height, width = sample.frames_adu.shape
    return {
        "stack": stack.name,
        "frames": measured,
        "window_px": [sample.top_px, sample.left_px, height, width],
        "camera": camera,
        "pixel_size_nm": pixel_size_nm,
    }


def _tell(found: Estimates, known: KnownCamera, sample: Sample, pixel_size_nm: float) -> None:
    measured, height, width = sample.frames_adu.shape
    film = " x ".join(str(size) for size in sample.film_shape)
    part = f"{measured} frames of {height} x {width} px, of a film of {film}"
    table = Table("what", "value", "±", "how sure", "why", title=part, title_justify="left")
    for row in rows(found, known, pixel_size_nm=pixel_size_nm, area_px2=height * width):
        table.add_row(row.name, row.value, row.uncertainty, row.sureness, row.why)
    Console().print(table)
