"""One submission: a film's file in, an image, a picture and a report out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from smlm_pipeline.atomic_files import remove_unfinished
from smlm_pipeline.cli.progress import FrameProgress
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.job import Submission
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.picture import write_picture
from smlm_pipeline.reconstruction import Reconstruction, reconstruct
from smlm_pipeline.report import Report, report
from smlm_pipeline.run import memory_budget
from smlm_pipeline.run.checkpoint import FileCheckpoint, NetworkIdentity
from smlm_pipeline.run.plan import open_canvas


def submit(
    submission: Submission,
    engine: AbstractContextManager[Engine],
    *,
    show_progress: bool,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> Report:
    """Reconstruct and write.

    The film is opened and looked at before the engine is, so that a bad file is
    refused at once. ``say`` is given each note as it arises, ``warn`` what nobody should miss:
    that an image lacks frames, or that a run which failed can go on.

    Raises
    ------
    ReconError
        Of the kind that tells what failed. Nothing has been written then but the ledger
        of what was summed, unless it is the picture that cannot be: the image is kept.
    """
    settings = submission.settings
    with open_film(submission.stack, submission.selection) as film:
        submission.check()
        if submission.resume:  # so the earlier run has ended, whichever way
            for path in (submission.image, submission.picture, submission.ledger):
                remove_unfinished(path)
        notes = submission.notes(film)
        for note in notes:
            say(note)
        folder = submission.image.resolve().parent
        with (
            open_canvas(film, settings, folder) as canvas,
            FileCheckpoint(
                submission.ledger,
                resume=submission.resume,
                every_s=settings.ledger_every_s,
                say=say,
                warn=warn,
            ) as ledger,
            FrameProgress(film.frame_count, shown=show_progress) as progress,
        ):
            progress.says("starting")
            with engine as opened:
                for note in opened.notes:
                    say(note)
                notes += opened.notes
                ledger.answers_come_from(
                    NetworkIdentity(opened.model_version, opened.network_sha256, opened.check)
                )
                progress.says("reconstructing")
                result = reconstruct(
                    film,
                    opened.transport,
                    settings,
                    canvas=canvas,
                    servers=opened.server_count,
                    ledger=ledger,
                    progress=progress.advance,
                )
            progress.says("writing")
            told = report(
                result,
                settings,
                opened,
                film,
                image=submission.image,
                picture=submission.picture,
                pixel_size_nm=submission.camera_pixel_nm(film),
                notes=notes,
            )
            for note in told.notes[len(notes) :]:
                (warn if told.missing else say)(note)
            _write(submission, film, result, told)
            ledger.results_are_written()
            progress.finish()
    return told


def _write(submission: Submission, film: Film, result: Reconstruction, told: Report) -> None:
    """The image first: an hour of computing is not thrown away for a picture."""
    pixel_nm = told.sr_pixel_size_nm
    provenance = told.provenance()
    write_image(submission.image, result.pixels, sr_pixel_size_nm=pixel_nm, provenance=provenance)
    room = memory_budget.memory_budget(
        film.frame_count, film.height_px, film.width_px, submission.settings
    )
    write_picture(
        submission.picture,
        result.pixels,
        sr_pixel_size_nm=pixel_nm,
        edge_max_px=room.picture_edge_px,
    )
