"""A job: which film to take, where the image goes, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from smlm_pipeline.atomic_files import check_writable
from smlm_pipeline.errors import OutputError, SettingError
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.settings import Settings

_ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")


_FILM_ENDINGS = (*_ENDINGS, ".ome.zarr", ".zarr", ".nd2", ".raw")


@dataclass(frozen=True)
class Submission:
    """What is asked for; ``pixel_size_nm`` is None where the file shall tell.

    ``selection`` is the part of the file to take, ``overwrite`` allows an earlier result to be
    replaced, and ``resume`` goes on from what an interrupted run kept.
    """

    stack: Path
    image: Path
    settings: Settings
    pixel_size_nm: float | None
    selection: Selection = field(default_factory=Selection)
    overwrite: bool = False
    resume: bool = False

    @property
    def picture(self) -> Path:
        """The PNG beside the image."""
        return self.image.with_name(f"{_stem(self.image, _ENDINGS)}.png")

    @property
    def ledger(self) -> Path:
        """What an interrupted run keeps beside the image."""
        return self.image.with_name(f"{_stem(self.image, _ENDINGS)}.ledger")

    def check(self) -> None:
        """Find out before the work whether its result could be kept.

        Raises
        ------
        SettingError
            If the pixel size is absurd, the output is no TIFF or the stack itself, or a run is
            both to go on and to start anew.
        OutputError
            If the output's folder cannot be written to, or an earlier result is there, or what
            an interrupted run kept.
        """
        if self.resume and self.overwrite:
            raise SettingError(
                "--resume goes on from an interrupted run and --overwrite starts anew; expected "
                "one of them"
            )
        if self.pixel_size_nm is not None and not 1 <= self.pixel_size_nm <= 10_000:
            raise SettingError(f"pixel-size-nm is {self.pixel_size_nm:g}; expected 1 to 10000")
        if not self.image.name.lower().endswith(_ENDINGS):
            raise SettingError(f"output is {self.image}; expected a name in .ome.tif or .tif")
        film = self.stack.resolve()
        kept = self.ledger.is_file()
        if kept and not (self.resume or self.overwrite):
            raise OutputError(
                f"{self.ledger} keeps the sum of an interrupted run; expected --resume, which "
                "goes on from it, or --overwrite, which starts anew"
            )
        goes_on = kept and self.resume  # an image that is there lacks something, then
        for path in (self.image, self.picture):
            if film == path.resolve():
                raise SettingError(f"{path} would replace the stack; choose another name with -o")
            if film == path.resolve().parent:
                raise SettingError(
                    f"{path} would lie among the files of the stack and be taken for one of them; "
                    "choose another folder with -o"
                )
            if path.is_file() and not (self.overwrite or goes_on):
                raise OutputError(
                    f"{path} exists; expected a new name: choose one with -o, or let it be "
                    "replaced with --overwrite"
                )
            check_writable(path)
        check_writable(self.ledger)

    def camera_pixel_nm(self, film: Film) -> float:
        """The user's word, then the file's, then the default."""
        return film.pixel_size(self.pixel_size_nm).nm

    def notes(self, film: Film) -> list[str]:
        """What the user should know before the work."""
        return [*film.notes, *film.pixel_size(self.pixel_size_nm).notes]


def image_path(stack: Path, output: Path | None) -> Path:
    """Where the image goes: ``output``, or ``STACK.sr.ome.tif`` in that folder or beside the stack.

    A film in a folder gives its image the folder's name and lies beside that.
    """
    if output is not None and not output.is_dir():
        return output
    film = stack if stack.name not in ("", "..") else stack.resolve()
    name = f"{_stem(film, _FILM_ENDINGS)}.sr.ome.tif"
    return output / name if output is not None else film.with_name(name)


def _stem(path: Path, endings: tuple[str, ...]) -> str:
    """The name without its ending."""
    name = path.name
    ending = next((each for each in endings if name.lower().endswith(each)), "")
    return name[: len(name) - len(ending)]
