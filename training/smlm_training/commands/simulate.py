"""``recon-train simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from smlm_pipeline.errors import SettingError
from smlm_training.commands import train_door
from smlm_training.simulation.film_files import FILM, write_film
from smlm_training.simulation.overrides import Overrides
from smlm_training.simulation.presets import PRESETS
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scene_file import read_scene

_SAMPLE, _LIGHT, _CAMERA, _FILM = "Sample", "Molecules and background", "Camera", "Film"


def simulate(
    folder: Annotated[
        Path, typer.Argument(help="Folder for stack.tif, positions.csv and simulation.json.")
    ],
    preset: Annotated[
        str,
        typer.Option(help=f"One of {', '.join(PRESETS)}, or the simulation.json of a film."),
    ] = "microtubules",
    structure: Annotated[
        str | None,
        typer.Option(help="uniform, filaments, rings or spots.", rich_help_panel=_SAMPLE),
    ] = None,
    density_per_um2: Annotated[
        float | None, typer.Option(help="Molecules in a frame, per um2.", rich_help_panel=_SAMPLE)
    ] = None,
    density_per_um: Annotated[
        float | None,
        typer.Option(help="Molecules in a frame, per um of filament.", rich_help_panel=_SAMPLE),
    ] = None,
    photons: Annotated[
        str | None,
        typer.Option(
            help="Of a molecule in a frame: a mean, or from:to (uniform).", rich_help_panel=_LIGHT
        ),
    ] = None,
    photons_spread: Annotated[
        float | None,
        typer.Option(help="Relative standard deviation of the photons.", rich_help_panel=_LIGHT),
    ] = None,
    photons_distribution: Annotated[
        str | None,
        typer.Option(help="gamma, lognormal, uniform or constant.", rich_help_panel=_LIGHT),
    ] = None,
    sigma_px: Annotated[
        str | None,
        typer.Option(
            help="Of the spot, in pixels: a mean, or from:to (uniform).", rich_help_panel=_LIGHT
        ),
    ] = None,
    sigma_spread: Annotated[
        float | None,
        typer.Option(help="Relative standard deviation of sigma.", rich_help_panel=_LIGHT),
    ] = None,
    psf: Annotated[
        str | None,
        typer.Option(
            help="integrated over pixels, or sampled at their centres, as ThunderSTORM does.",
            rich_help_panel=_LIGHT,
        ),
    ] = None,
    background_photons: Annotated[
        float | None,
        typer.Option(help="Mean background of a pixel in a frame.", rich_help_panel=_LIGHT),
    ] = None,
    background_kind: Annotated[
        str | None, typer.Option(help="flat, graded or patchy.", rich_help_panel=_LIGHT)
    ] = None,
    background_variation: Annotated[
        float | None,
        typer.Option(
            help="Of a graded (ends: 1 -+ this) or patchy background.", rich_help_panel=_LIGHT
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            help="emccd (excess noise factor 2) or scmos (pixels differ).", rich_help_panel=_CAMERA
        ),
    ] = None,
    adu_per_photon: Annotated[
        float | None,
        typer.Option(help="Gain: ADU that one photon gives on average.", rich_help_panel=_CAMERA),
    ] = None,
    offset_adu: Annotated[
        float | None, typer.Option(help="Reading without light.", rich_help_panel=_CAMERA)
    ] = None,
    read_noise_adu: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the read noise; sCMOS: of a typical pixel.",
            rich_help_panel=_CAMERA,
        ),
    ] = None,
    chip_seed: Annotated[
        int | None,
        typer.Option(
            help="sCMOS: seed of the maps that no file is given for.", rich_help_panel=_CAMERA
        ),
    ] = None,
    gain_map: Annotated[
        Path | None,
        typer.Option(help="sCMOS: TIFF of the gain, in ADU a photon.", rich_help_panel=_CAMERA),
    ] = None,
    offset_map: Annotated[
        Path | None,
        typer.Option(help="sCMOS: TIFF of the offset, in ADU.", rich_help_panel=_CAMERA),
    ] = None,
    variance_map: Annotated[
        Path | None,
        typer.Option(
            help="sCMOS: TIFF of the read noise's variance, in ADU squared.",
            rich_help_panel=_CAMERA,
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames of the film.", rich_help_panel=_FILM)
    ] = None,
    size_px: Annotated[
        int | None, typer.Option(help="Height and width in pixels.", rich_help_panel=_FILM)
    ] = None,
    height_px: Annotated[
        int | None, typer.Option(help="Height, if it is not the width.", rich_help_panel=_FILM)
    ] = None,
    width_px: Annotated[
        int | None, typer.Option(help="Width, if it is not the height.", rich_help_panel=_FILM)
    ] = None,
    pixel_size_nm: Annotated[
        float | None, typer.Option(help="Camera pixel.", rich_help_panel=_FILM)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed makes the same film.", rich_help_panel=_FILM)
    ] = None,
) -> None:
    """Simulate a film with its true positions, as ThunderSTORM would write them.

    Options replace the preset's settings. simulation.json states all of them; a changed copy
    of it is a preset.
    """
    with train_door():
        scene = Overrides(
            structure=structure,
            density_per_um2=density_per_um2,
            density_per_um=density_per_um,
            photons=photons,
            photons_spread=photons_spread,
            photons_distribution=photons_distribution,
            sigma_px=sigma_px,
            sigma_spread=sigma_spread,
            psf=psf,
            background_photons=background_photons,
            background_kind=background_kind,
            background_variation=background_variation,
            camera=camera,
            adu_per_photon=adu_per_photon,
            offset_adu=offset_adu,
            read_noise_adu=read_noise_adu,
            chip_seed=chip_seed,
            gain_map=gain_map,
            offset_map=offset_map,
            variance_map=variance_map,
            frames=frames,
            size_px=size_px,
            height_px=height_px,
            width_px=width_px,
            pixel_size_nm=pixel_size_nm,
            seed=seed,
        ).of(_preset(preset))
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("simulating", total=scene.frames)
            count = write_film(
                folder, scene, progress=lambda frames: progress.update(task, completed=frames)
            )
        typer.echo(f"{folder / FILM}: {scene.frames} frames with {count:,} emitters")


def _preset(name: str) -> Scene:
    if name in PRESETS:
        return PRESETS[name]
    if Path(name).suffix == ".json":
        return read_scene(Path(name))
    known = ", ".join(PRESETS)
    raise SettingError(f"preset is {name!r}; expected one of {known}, or a file *.json")
