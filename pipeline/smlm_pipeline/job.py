"""A job: the film to take, the image to write, and the settings."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.atomic_files import check_folder_writable, check_writable
from smlm_pipeline.errors import OutputError, SettingError
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.formats.own_results import is_result_folder
from smlm_pipeline.film.formats.pixel_size import check_given
from smlm_pipeline.film.level import level_of
from smlm_pipeline.film.part_asked import PartAsked
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.output.error_map_files import ErrorMapFiles
from smlm_pipeline.output.image_names import (
    IMAGE_ENDINGS,
    ZARR_ENDING,
    check_name,
    image_path,
    is_zarr,
    stem_of,
)
from smlm_pipeline.output.page_files import PageFiles
from smlm_pipeline.output.picture_style import DEFAULT_STYLE, PictureStyle
from smlm_pipeline.output.resolution_files import ResolutionFiles
from smlm_pipeline.settings import MOLECULES_PROBABILITY, Settings
from smlm_pipeline.tables.camera_units import CameraUnits
from smlm_pipeline.tables.formats import format_of, light_notes

PART_ENDING = ".npz"
"""Ending of the file of a part of a film."""


@dataclass(frozen=True)
class Job:
    """A film and the image to make of it.

    ``pixel_size_nm`` is None where the film's file states it, ``selection`` is the part of the
    file to take, ``overwrite`` allows to replace an earlier result, and ``resume`` continues
    from the checkpoint of an interrupted run. ``molecules`` is the table of molecules to write, if
    any, ``molecules_probability`` the least probability of its molecules, and ``camera`` what turns
    their light into photons; None leaves it in ADU. ``style`` is that of the picture. ``page`` is
    whether to write the report as a page, for which the settings have to make an error map.
    ``channels`` are two of the film, which make one image; None takes the film for one channel.
    ``part`` is the part of the film to sum, where no image is to be written.
    """

    film: Path
    image: Path
    settings: Settings
    pixel_size_nm: float | None = None
    selection: Selection = field(default_factory=Selection)
    overwrite: bool = False
    resume: bool = False
    molecules: Path | None = None
    molecules_probability: float = MOLECULES_PROBABILITY
    camera: CameraUnits | None = None
    style: PictureStyle = DEFAULT_STYLE
    page: bool = False
    channels: Channels | None = None
    part: PartAsked | None = None

    @property
    def picture(self) -> Path:
        """The PNG beside the image."""
        return self._beside(".png")

    @property
    def sum_image(self) -> Path:
        """The plain sum beside a refined image, in the same format."""
        return self._beside(f".sum{self._ending}")

    def _beside(self, ending: str) -> Path:
        """The image's path with this ending in place of its own."""
        return self.image.with_name(stem_of(self.image, IMAGE_ENDINGS) + ending)

    @property
    def _ending(self) -> str:
        return ZARR_ENDING if self.is_zarr else ".ome.tif"

    @property
    def is_zarr(self) -> bool:
        """Whether the image is to be OME-Zarr, a folder."""
        return is_zarr(self.image)

    @property
    def uncorrected_image(self) -> Path:
        """The plain sum with its drift, beside an image without, in the same format."""
        return self._beside(f".uncorrected{self._ending}")

    @property
    def drift_table(self) -> Path:
        """The drift of each frame, beside the image."""
        return self._beside(".drift.csv")

    @property
    def drift_plot(self) -> Path:
        """The drift as a picture, beside the image."""
        return self._beside(".drift.png")

    @property
    def resolution_files(self) -> ResolutionFiles:
        """The files that state the resolution, beside the image."""
        return ResolutionFiles(self._channel_stem)

    @property
    def error_files(self) -> ErrorMapFiles:
        """The error map and the wide field, beside the image."""
        return ErrorMapFiles(self._channel_stem)

    @property
    def page_files(self) -> PageFiles:
        """The report as a page, and its numbers, beside the image."""
        return PageFiles(self._channel_stem)

    @property
    def _channel_stem(self) -> Path:
        """Stem of the files beside the image that each channel has for itself: `FILM.sr.left`."""
        half = self.selection.half
        return self._beside("" if half is None else f".{half}")

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of an interrupted run, beside the image or the part."""
        if self.part is not None:
            return self.part.path.with_name(f"{stem_of(self.part.path, (PART_ENDING,))}.checkpoint")
        return self._beside(".checkpoint")

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The checkpoint, or that of each channel."""
        if self.channels is None:
            return (self.checkpoint,)
        return tuple(self._beside(f".{half}.checkpoint") for half in self.channels.halves)

    @property
    def of_channels(self) -> tuple[Job, ...]:
        """The job for each channel by itself; its results are those of both."""
        halves = () if self.channels is None else self.channels.halves
        parts = (replace(self.selection, half=half) for half in halves)
        tables = self.tables or (None,) * len(halves)
        return tuple(
            replace(self, selection=part, molecules=table, channels=None)
            for part, table in zip(parts, tables, strict=True)
        )

    @property
    def probability_kept(self) -> float:
        """Least probability of a molecule that is kept; drift needs all of them."""
        drifts, own = self.settings.corrects_drift, self.molecules_probability
        return contract.MOLECULE_PROBABILITY_MIN if drifts else own

    @property
    def tables(self) -> tuple[Path, ...]:
        """The table of molecules, or that of each channel: ``table.left.csv``."""
        table = self.molecules
        if table is None or self.channels is None:
            return () if table is None else (table,)
        ending = format_of(table).ending
        stem = table.name[: -len(ending)]
        return tuple(table.with_name(f"{stem}.{half}{ending}") for half in self.channels.halves)

    @property
    def results(self) -> tuple[Path, ...]:
        """All files that the job writes."""
        if self.part is not None:
            return (self.part.path,)
        tables = (file for table in self.tables for file in format_of(table).files_of(table))
        return (*self.images, *tables, *self.files_beside)

    @property
    def sure_results(self) -> tuple[Path, ...]:
        """Those of `results` that depend neither on drift, nor on resolution or refinement."""
        sometimes = {self.sum_image, self.uncorrected_image, *self.files_beside}
        return tuple(path for path in self.results if path not in sometimes)

    @property
    def files_beside(self) -> tuple[Path, ...]:
        """The files of drift, resolution, error map and report that are written."""
        if self.channels is not None:
            return tuple(dict.fromkeys(f for job in self.of_channels for f in job.files_beside))
        resolution = self.resolution_files.all if self.settings.resolution else ()
        error = self.error_files.all if self.settings.error_map else ()
        page = self.page_files.all if self.page else ()
        return (*self.drift_files, *resolution, *error, *page)

    @property
    def drift_files(self) -> tuple[Path, ...]:
        """The table and the plot of the drift; a table that the user gave is not written again."""
        if not self.settings.corrects_drift:
            return ()
        given = self.settings.drift_file
        if given is not None and given.resolve() == self.drift_table.resolve():
            return (self.drift_plot,)
        return (self.drift_table, self.drift_plot)

    @property
    def images(self) -> tuple[Path, ...]:
        """The image, the sums beside it if it is refined or without drift, and the picture."""
        sums = (self.sum_image,) if self.settings.may_refine else ()
        before = (self.uncorrected_image,) if self.settings.corrects_drift else ()
        return (self.image, *sums, *before, self.picture)

    def check(self) -> None:
        """Refuse, before the work, a job whose result could not be kept.

        Raises
        ------
        SettingError
            If the pixel size is absurd, the output is no TIFF or the film itself, or a run is
            both to continue and to start over.
        OutputError
            If the output's folder cannot be written to, or an earlier result or a checkpoint
            exists.
        """
        self.check_options()
        unfinished = [path for path in self.checkpoints if path.is_file()]
        if unfinished and not (self.resume or self.overwrite):
            raise OutputError(
                f"{unfinished[0]} is the checkpoint of an interrupted run; expected --resume to "
                "continue that run, or --overwrite to start over"
            )
        continues = bool(unfinished) and self.resume  # an image that exists lacks chunks, then
        replaced = self.overwrite or continues
        self._make_folder()
        if self.part is not None:
            self._check_part(self.part.path, replaced=replaced)
            return
        for path in (*self.images, *self.files_beside):
            self._check_result(path, replaced=replaced)
        for table in self.tables:
            self._check_table(table, replaced=replaced)
        for path in self.checkpoints:
            check_writable(path)

    def check_options(self) -> None:
        """Refuse options that cannot be met, whatever the film: they are `batch`'s for all films.

        Raises
        ------
        SettingError
            If a value is absurd, or options exclude each other.
        """
        if self.resume and self.overwrite:
            raise SettingError(
                "--resume continues an interrupted run and --overwrite starts over; expected "
                "one of them"
            )
        if self.pixel_size_nm is not None:
            check_given(self.pixel_size_nm)
        if self.camera is not None and self.molecules is None:
            raise SettingError(
                f"{self.camera.option} is for the table of molecules, and none is asked for; "
                "expected --molecules FILE too, or no gain: the image does not depend on it"
            )
        self.style.check()
        if self.channels is not None:
            self._check_channels(self.channels)
        if self.molecules is not None:
            self._check_molecules()
        if not self.image.name.lower().endswith(IMAGE_ENDINGS):
            expected = (
                "expected a name in .ome.tif, .tif or .ome.zarr, or a folder: one with a dot in "
                "its name has to be made before"
            )
            raise SettingError(f"output is {self.image}; {expected}")

    def _make_folder(self) -> None:
        """Make the folder of the image where the user named that alone, as ``-o new/``."""
        folder = self.image.parent
        if self.part is None and self.image == image_path(self.film, folder):
            with contextlib.suppress(OSError):  # which the checks that follow explain
                folder.mkdir(parents=True, exist_ok=True)

    def _check_channels(self, channels: Channels) -> None:
        """Refuse what two channels are not offered with."""
        if self.part is not None:
            raise SettingError(
                "--partial sums a part of one channel, and --channels asks for two; expected one "
                "of them: leave out --partial, and share the film among servers by --server"
            )
        if self.style.cmap != DEFAULT_STYLE.cmap or self.style.colour_bar:
            raise SettingError(
                "--cmap and --colour-bar are for a picture of one channel; expected neither with "
                "--channels, whose picture has a colour for each"
            )
        channels.check()

    def _check_part(self, path: Path, *, replaced: bool) -> None:
        """Refuse a part that could not be written, or would replace another file."""
        if not path.name.lower().endswith(PART_ENDING):
            raise SettingError(f"--partial is {path}; expected a name in {PART_ENDING}")
        with contextlib.suppress(OSError):  # which the check that follows explains
            path.parent.mkdir(exist_ok=True)  # the first of many tasks makes it
        self._check_result(path, replaced=replaced, option="--partial")
        check_writable(self.checkpoint)

    def _check_molecules(self) -> None:
        """Refuse a table that could not be made."""
        if self.settings.makes_maps:
            raise SettingError(
                f"--molecules asks for molecules, which {self.settings.model} does not find; "
                f"expected a network that answers with detections: take --model "
                f"{contract.RECONSTRUCTION.name}, or leave out --molecules"
            )
        least = contract.MOLECULE_PROBABILITY_MIN
        if not least <= self.molecules_probability <= 1:
            raise SettingError(
                f"molecules-probability is {self.molecules_probability:g}; expected {least:g} to 1"
            )

    def _check_table(self, table: Path, *, replaced: bool) -> None:
        """Refuse a table that could not be written, or would replace another result."""
        kind = format_of(table)
        check_name(table)
        for file in kind.files_of(table):
            if file.resolve() in {each.resolve() for each in self.images}:
                raise SettingError(f"--molecules and -o both name {file}; expected two names")
            self._check_result(file, replaced=replaced, option="--molecules")
        kind.load()

    def _check_result(self, path: Path, *, replaced: bool, option: str = "-o") -> None:
        """Refuse a path that holds the film or an earlier result, or cannot be written."""
        film = self.film.resolve()
        if film == path.resolve():
            raise SettingError(f"{path} would replace the film; choose another name with {option}")
        if film == path.resolve().parent:
            raise SettingError(
                f"{path} would be among the files of the film and be read as one of them; "
                f"choose another folder with {option}"
            )
        folder = is_zarr(path)
        if (path.exists() if folder else path.is_file()) and not replaced:
            raise OutputError(
                f"{path} exists; expected a new name: choose one with {option}, or replace the "
                "file with --overwrite"
            )
        if not folder:
            check_writable(path)
        elif path.exists() and not is_result_folder(path):
            raise OutputError(
                f"{path} is no image of this program, so it is not replaced; choose another name "
                f"with {option}"
            )
        else:
            check_folder_writable(path)

    def camera_pixel_nm(self, film: Film) -> float:
        """The user's pixel size, or the film's, or the default."""
        return film.pixel_size(self.pixel_size_nm).nm

    def warnings(self, film: Film) -> list[str]:
        """Facts that the user has to know, with ``--quiet`` too."""
        return [*film.warnings, *film.pixel_size(self.pixel_size_nm).notes]

    def notes(self, film: Film) -> list[str]:
        """Facts that the user should know before the work; `warnings` are the first."""
        camera = () if self.camera is None else self.camera.notes
        return [
            *(*self.warnings(film), *film.notes, *film.notes_on_ends(), *camera),
            *self._doubts(film),
            *(() if self.molecules is None else light_notes(self.molecules, self.camera)),
        ]

    def _doubts(self, film: Film) -> tuple[str, ...]:
        """What is doubtful of the camera, by the levels of a few frames."""
        if self.camera is None or self.camera.offset_adu is None:
            return ()
        return self.camera.doubts(level_of(film), film.path.name)
