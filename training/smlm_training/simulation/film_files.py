"""Write a simulated film as files: the frames, the true positions and the settings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.table import Molecules
from smlm_pipeline.localise.table_files import ThunderstormWriter
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scene_file import write_scene
from smlm_training.simulation.simulate import Emitters

FILM, POSITIONS, SETTINGS = "stack.tif", "positions.csv", "simulation.json"

_TIFF_BYTES_MAX = 2**32 - 2**25
"""Pixels that an ImageJ TIFF can hold, with room for its metadata."""


def write_film(folder: Path, scene: Scene, *, progress: Callable[[int], None]) -> int:
    """Simulate a film block by block into a folder; return the number of emitters in its field.

    ``stack.tif`` is an ImageJ TIFF with the pixel size in its metadata,
    ``positions.csv`` has ThunderSTORM's columns, ``simulation.json`` all settings.
    They are written to a temporary folder and renamed when all are complete. ``progress`` is
    called with the number of frames after each block.

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
            table = EmitterTable(
                stream,
                shape_px=(scene.height_px, scene.width_px),
                pixel_size_nm=scene.pixel_size_nm,
                offset_photons=scene.camera.offset_adu / scene.camera.adu_per_photon,
                background_photons=scene.background_photons,
            )

            def frames_adu() -> Iterator[NDArray[np.uint16]]:
                for block in blocks:
                    table.add(block.emitters)
                    yield from block.frames_adu
                    progress(table.frame_count)

            _write_frames(partial / FILM, frames_adu(), scene)
        write_scene(partial / SETTINGS, scene, molecules=table.emitter_count)
        for name in (FILM, POSITIONS, SETTINGS):
            (partial / name).replace(folder / name)
    return table.emitter_count


class EmitterTable:
    """The true positions of a film as ThunderSTORM's simulator writes them, block by block.

    Its column ``offset`` is the camera's base level in photons, and ``bkgstd`` the square
    root of the background's photons, one number or one for each pixel of ``shape_px``, in the
    emitter's pixel.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        shape_px: tuple[int, int],
        pixel_size_nm: float,
        offset_photons: float,
        background_photons: float | NDArray[np.float64],
    ) -> None:
        self._writer = ThunderstormWriter(stream)
        self._pixel_size_nm = pixel_size_nm
        self._offset_photons = offset_photons
        self._noise_photons = np.broadcast_to(np.sqrt(background_photons), shape_px)
        self.frame_count = 0

    @property
    def emitter_count(self) -> int:
        """Emitters written so far."""
        return self._writer.row_count

    def add(self, emitters: Emitters) -> None:
        """Write the emitters of the next frames that are in the field."""
        frame, place = np.nonzero(emitters.inside(*self._noise_photons.shape))
        y_px, x_px = emitters.y_px[frame, place], emitters.x_px[frame, place]
        self._writer.add(
            Molecules(
                self.frame_count + frame, y_px * self._pixel_size_nm, x_px * self._pixel_size_nm
            ),
            sigma_nm=emitters.sigma_px[frame, place] * self._pixel_size_nm,
            photons=emitters.photons[frame, place],
            offset_photons=np.full(len(frame), self._offset_photons),
            noise_photons=self._noise_photons[y_px.astype(int), x_px.astype(int)],
        )
        self.frame_count += len(emitters.photons)


def _write_frames(path: Path, frames_adu: Iterator[NDArray[np.uint16]], scene: Scene) -> None:
    with tifffile.TiffWriter(path, imagej=True) as tiff:
        tiff.write(
            frames_adu,
            shape=(scene.frames, scene.height_px, scene.width_px),
            dtype=np.uint16,
            photometric="minisblack",
            resolution=(1000 / scene.pixel_size_nm,) * 2,
            metadata={"axes": "TYX", "unit": "um"},
        )
