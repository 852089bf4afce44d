"""Write the files beside the image of a channel: drift, resolution, error map and page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smlm_pipeline.drift.curve import no_drift
from smlm_pipeline.drift.files import write_drift
from smlm_pipeline.film.film import Film
from smlm_pipeline.job import Job
from smlm_pipeline.output.drift_plot import write_drift_plot
from smlm_pipeline.page.histograms import Histogram, molecule_histograms
from smlm_pipeline.page.page import write_page
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.report import Report
from smlm_pipeline.run.drifting import DriftCorrection
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.timed_events import TimedEvents


def write_measurements(job: Job, result: Reconstruction, facts: Report) -> None:
    """Write the resolution and the error map, where they were asked for.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    resolution = result.resolution
    if resolution is not None and resolution.curve is not None and resolution.tiles is not None:
        job.resolution_files.write(resolution.curve, resolution.tiles)
    if result.comparison is not None:
        stated = facts.provenance()["error_map"] or {}
        about = {"film": Path(facts.film).name, **stated}
        job.error_files.write(result.comparison.map, facts.pixel_size_nm, about)


def write_drift_files(job: Job, drift: DriftCorrection, frames: NDArray[np.int64]) -> None:
    """Write the drift that was taken out, frame by frame, and plot that which was found.

    Parameters
    ----------
    job : Job
        Names the files.
    drift : DriftCorrection
        Of the film, or of one of its channels.
    frames : ndarray, shape (F,), int64
        All frames of the film.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if job.drift_table in job.drift_files:
        write_drift(job.drift_table, drift.applied or no_drift(), frames.tolist())
    title = "Drift" if drift.applied is not None else "Drift, not corrected"
    error_nm = None if drift.estimate is None else drift.estimate.error_nm
    shown = drift.drift or no_drift()
    write_drift_plot(job.drift_plot, shown, frames, title=title, error_nm=error_nm)


def write_report_page(
    job: Job,
    film: Film,
    molecules: MoleculeSink | None,
    result: Reconstruction,
    facts: Report,
    events: TimedEvents,
    both: Image.Image | None = None,
) -> None:
    """Write the report as a page, with histograms of the molecules if there are any.

    ``events`` states how long each stage took, up to the page. ``both`` is the picture of two
    channels, where the page is that of one of them.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    frames = np.asarray(film.corner.frames[: film.frame_count], np.int64)
    histograms: Sequence[Histogram] = ()
    if molecules is not None:
        least = job.molecules_probability
        blocks = molecules.blocks(facts.pixel_size_nm, job.camera, least)
        histograms = molecule_histograms(blocks, frames)
    write_page(
        job.page_files,
        facts.as_dict(),
        result,
        timings_s=events.timings_s,
        frames=frames,
        histograms=histograms,
        style=job.style,
        both=both,
    )
