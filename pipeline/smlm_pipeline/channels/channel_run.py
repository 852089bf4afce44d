"""The run of one of two channels."""

from __future__ import annotations

from dataclasses import dataclass

from smlm_pipeline.film.film import Film
from smlm_pipeline.job import Job
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.report import Report
from smlm_pipeline.run.molecules import MoleculeSink


@dataclass(frozen=True)
class ChannelRun:
    """The run of one channel: its own job, film, result, molecules and report."""

    job: Job
    film: Film
    result: Reconstruction
    molecules: MoleculeSink | None
    report: Report
