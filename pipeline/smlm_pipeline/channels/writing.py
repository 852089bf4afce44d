"""Write the results of both channels: one image, and what each channel has for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from smlm_pipeline.channels.channel_run import ChannelRun
from smlm_pipeline.channels.registering import Registration
from smlm_pipeline.channels.report import ChannelsReport
from smlm_pipeline.channels.tables import write_tables
from smlm_pipeline.job import Job
from smlm_pipeline.output.picture import draw_merged_picture, write_merged_picture
from smlm_pipeline.output.pyramid import Rows
from smlm_pipeline.page.pictures import EDGE_MOST_PX
from smlm_pipeline.registration.registered import Registered
from smlm_pipeline.run.timed_events import TimedEvents
from smlm_pipeline.submission.beside import write_drift_files, write_measurements, write_report_page
from smlm_pipeline.submission.images import write_images


def write_results(
    job: Job,
    runs: Sequence[ChannelRun],
    registration: Registration,
    facts: ChannelsReport,
    events: TimedEvents,
) -> None:
    """Write the image of both channels first, then what each has for itself, and the tables.

    Parameters
    ----------
    job : Job
        With two channels.
    runs : sequence of ChannelRun
        Both, the first one first.
    registration : Registration
        Of the second channel to the first.
    facts : ChannelsReport
        States the facts of both.
    events : TimedEvents
        Receives stages, and states how long each took.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    results = [run.result for run in runs]
    names, sr_nm = tuple(facts.channels), facts.sr_pixel_size_nm

    def registered(one: Rows, two: Rows) -> dict[str, Rows]:
        affine = registration.affine
        moved = two if affine is None else Registered(two, affine, sr_nm)
        return {names[0]: one, names[1]: moved}

    shown = registered(*(result.shown for result in results))
    sums = registered(*(result.pixels for result in results)) if results[0].plan.refines else None
    drifts = [result.drift for result in results if result.drift is not None]
    corrected = bool(drifts) and drifts[0].applied is not None
    before = registered(*(result.uncorrected for result in results)) if corrected else None
    write_images(job, facts, shown, sums, before)
    for run in runs:
        write_measurements(run.job, run.result, run.report)
    if drifts:
        frames = np.unique(np.concatenate([each.frames for each in drifts]))
        write_drift_files(job, drifts[0], frames)
    write_merged_picture(
        job.picture,
        shown,
        sr_pixel_size_nm=sr_nm,
        edge_max_px=min(result.plan.picture_edge_px for result in results),
        style=job.style,
    )
    if job.molecules is not None:
        events.stage("writing the tables")
        write_tables(job, runs, registration)
    if job.page:
        events.stage("writing the reports")
        both = draw_merged_picture(
            shown, sr_pixel_size_nm=sr_nm, edge_max_px=EDGE_MOST_PX, style=job.style
        ).picture
        for run in runs:
            stated = replace(run.report, notes=facts.notes)
            write_report_page(run.job, run.film, run.molecules, run.result, stated, events, both)
