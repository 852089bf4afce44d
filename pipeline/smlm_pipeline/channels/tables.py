"""Write the molecules of two channels as two tables, in the coordinates of the first channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from smlm_pipeline.channels.channel_run import ChannelRun
from smlm_pipeline.channels.registering import Registration
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.job import Job
from smlm_pipeline.registration.affine import Affine, moved_by
from smlm_pipeline.run.molecules import columns_of
from smlm_pipeline.tables.at_rest import at_rest
from smlm_pipeline.tables.formats import write_table
from smlm_pipeline.tables.rows import Rows, TableFacts


def write_tables(job: Job, runs: Sequence[ChannelRun], registration: Registration) -> None:
    """Write the tables of both channels.

    Frames count as the film's file does. Places are those of the first channel in the file: the
    second one is laid over it, as in the image, and registered where it is known how. The drift
    that was taken out of the image is taken out of them too.

    Parameters
    ----------
    job : Job
        With two channels and a table.
    runs : sequence of ChannelRun
        Both channels, with their molecules.
    registration : Registration
        Of the second channel.

    Raises
    ------
    OutputError
        If a table cannot be written.
    """
    affine = registration.affine or moved_by(np.zeros(2))
    first = runs[0].report
    pixel_nm, least = first.pixel_size_nm, job.molecules_probability
    x_px, y_px, width_px, height_px = first.selection["roi_px"]
    corners = [run.film.corner for run in runs]
    for number, (path, run) in enumerate(zip(job.tables, runs, strict=True)):
        if run.molecules is None:
            continue
        rows: Iterable[Rows] = run.molecules.blocks(pixel_nm, job.camera, least)
        drift = run.result.drift
        if drift is not None and drift.applied is not None:
            rows = at_rest(rows, drift.applied)
        if number:
            rows = laid_over(rows, affine, corners, pixel_nm)
        facts = TableFacts(
            columns=columns_of(job.camera),
            pixel_size_nm=pixel_nm,
            width_px=x_px + width_px,
            height_px=y_px + height_px,
            frame_count=run.report.selection["frames"][1],
            provenance={**run.report.provenance(), "registration": registration.facts},
        )
        write_table(path, rows, facts, run.molecules.count(least))


def laid_over(
    blocks: Iterable[Rows], affine: Affine, corners: Sequence[Corner], pixel_nm: float
) -> Iterator[Rows]:
    """Rows of the second channel at their places in the first one; their order stays.

    Parameters
    ----------
    blocks : iterable of Rows
        Rows whose places are those of the file.
    affine : Affine
        Maps places of the first channel to those of the second, from the corner of each.
    corners : sequence of Corner
        The first pixel of each channel in the file.
    pixel_nm : float
        Edge of a camera pixel.
    """
    first_nm, second_nm = (
        np.array([[corner.y_px], [corner.x_px]]) * pixel_nm for corner in corners
    )
    for rows in blocks:
        there_nm = np.stack([rows["y_nm"], rows["x_nm"]]) - second_nm
        y_nm, x_nm = affine.inverse_at(there_nm) + first_nm
        yield Rows({**rows.columns, "x_nm": x_nm, "y_nm": y_nm})
