"""One submission: a film's file in, an image, a picture and a report out."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline import render
from smlm_pipeline.engines import Engine
from smlm_pipeline.errors import SettingError
from smlm_pipeline.progress import FrameProgress
from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.report import Report, report
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM, Settings
from smlm_pipeline.stack import Stack, open_stack

_ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")


@dataclass(frozen=True)
class Submission:
    """What is asked for; ``pixel_size_nm`` is None where the file shall tell."""

    stack: Path
    image: Path
    settings: Settings
    pixel_size_nm: float | None

    @property
    def picture(self) -> Path:
        """The PNG beside the image."""
        return self.image.with_name(f"{_stem(self.image)}.png")

    def check(self) -> None:
        """Find out before the work whether its result could be kept.

        Raises
        ------
        SettingError
            If the pixel size is absurd, or the output is no TIFF or the stack itself.
        OutputError
            If the output's folder cannot be written to.
        """
        if self.pixel_size_nm is not None and not 1 <= self.pixel_size_nm <= 10_000:
            raise SettingError(f"pixel-size-nm is {self.pixel_size_nm:g}; expected 1 to 10000")
        if not self.image.name.lower().endswith(_ENDINGS):
            raise SettingError(f"output is {self.image}; expected a name in .ome.tif or .tif")
        for path in (self.image, self.picture):
            if self.stack.resolve() == path.resolve():
                raise SettingError(f"{path} would replace the stack; choose another name with -o")
            render.check_writable(path)

    def camera_pixel_nm(self, film: Stack) -> float:
        """The user's word, then the file's, then the default."""
        return self.pixel_size_nm or film.pixel_size_nm or DEFAULT_PIXEL_SIZE_NM


def default_image(stack: Path) -> Path:
    """``STACK.sr.ome.tif`` beside the stack."""
    return stack.with_name(f"{_stem(stack)}.sr.ome.tif")


def submit(
    submission: Submission, engine: AbstractContextManager[Engine], *, show_progress: bool
) -> Report:
    """Reconstruct and write.

    The film is opened and looked at before the engine is, so that a bad file is
    refused at once.

    Raises
    ------
    ReconError
        Of the kind that tells what failed. Nothing has been written then, unless it
        is the picture that cannot be: the image is kept.
    """
    with open_stack(submission.stack) as film:
        submission.check()
        with FrameProgress(film.frame_count, shown=show_progress) as progress:
            progress.says("starting")
            with engine as opened:
                progress.says("reconstructing")
                result = reconstruct(
                    film, opened.transport, submission.settings, progress=progress.advance
                )
            progress.says("writing")
            told = report(
                result,
                submission.settings,
                opened,
                stack=submission.stack,
                image=submission.image,
                picture=submission.picture,
                pixel_size_nm=submission.camera_pixel_nm(film),
            )
            pixel_nm = told.sr_pixel_size_nm
            render.write_image(
                submission.image,
                result.image,
                sr_pixel_size_nm=pixel_nm,
                provenance=told.provenance(),
            )
            render.write_picture(submission.picture, result.image, sr_pixel_size_nm=pixel_nm)
            progress.finish()
    return told


def _stem(path: Path) -> str:
    """The file's name without its TIFF ending."""
    name = path.name
    ending = next((each for each in _ENDINGS if name.lower().endswith(each)), "")
    return name[: len(name) - len(ending)]
