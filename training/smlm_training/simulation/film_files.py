"""A simulated film as files: the stack, the true positions and the settings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.positions import PositionsTable
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scene_file import write_scene

STACK, POSITIONS, SETTINGS = "stack.tif", "positions.csv", "simulation.json"

_TIFF_BYTES_MAX = 2**32 - 2**25
"""Pixels that an ImageJ TIFF can hold, with room for what stands beside them."""


def write_film(folder: Path, scene: Scene, *, done: Callable[[int], None]) -> int:
    """Simulate a film block by block into a folder; the number of molecules in its field.

    ``stack.tif`` is an ImageJ TIFF with the pixel size in its metadata,
    ``positions.csv`` has ThunderSTORM's columns, ``simulation.json`` all settings.
    They are written beside and renamed when all are whole. ``done`` is told the
    number of frames after each block.

    Raises
    ------
    SettingError
        If the film does not fit into an ImageJ TIFF, or a map does not fit the field.
    FilmError
        If a map of the camera cannot be read.
    """
    pixels_bytes = 2 * scene.frames * scene.height_px * scene.width_px
    if pixels_bytes > _TIFF_BYTES_MAX:
        raise SettingError(
            f"the film would take {pixels_bytes / 1e9:.1f} GB; an ImageJ TIFF holds "
            f"{_TIFF_BYTES_MAX / 1e9:.1f}: expected fewer frames or a smaller field"
        )
    blocks = scene.blocks()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".simulating-") as beside:
        partial = Path(beside)
        with (partial / POSITIONS).open("w", newline="") as stream:
            table = PositionsTable(
                stream,
                height_px=scene.height_px,
                width_px=scene.width_px,
                pixel_size_nm=scene.pixel_size_nm,
                offset_photons=scene.camera.offset_adu / scene.camera.adu_per_photon,
                background_photons=scene.background_photons,
            )

            def frames_adu() -> Iterator[NDArray[np.uint16]]:
                for block in blocks:
                    table.add(block.emitters)
                    yield from block.frames_adu
                    done(table.frames)

            _write_stack(partial / STACK, frames_adu(), scene)
        write_scene(partial / SETTINGS, scene, molecules=table.molecules)
        for name in (STACK, POSITIONS, SETTINGS):
            (partial / name).replace(folder / name)
    return table.molecules


def _write_stack(path: Path, frames_adu: Iterator[NDArray[np.uint16]], scene: Scene) -> None:
    with tifffile.TiffWriter(path, imagej=True) as tiff:
        tiff.write(
            frames_adu,
            shape=(scene.frames, scene.height_px, scene.width_px),
            dtype=np.uint16,
            photometric="minisblack",
            resolution=(1000 / scene.pixel_size_nm,) * 2,
            metadata={"axes": "TYX", "unit": "um"},
        )
