"""``recon-train simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tifffile
import typer

from smlm_pipeline.errors import SettingError
from smlm_training import presets
from smlm_training.commands.door import door
from smlm_training.positions import write_positions


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
    with door():
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
