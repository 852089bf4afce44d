"""Merge all parts of a film into the image that one run would have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smlm_pipeline.errors import CheckpointError
from smlm_pipeline.job import PART_ENDING
from smlm_pipeline.parts.kept_job import job_of
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.report import Report
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.parts import Part, PartialSums, check_parts, engine_of
from smlm_pipeline.run.timed_events import TimedEvents
from smlm_pipeline.submission.submit import job_run, write_results


def merge_parts(
    paths: Sequence[Path],
    output: Path | None = None,
    *,
    film: Path | None = None,
    molecules: Path | None = None,
    overwrite: bool = False,
    memory_bytes: int | None = None,
    events: Events = SILENCE,
) -> Report:
    """Merge all parts of a film, and write what one run of the whole film would have written.

    The film is opened and surveyed again, so that its facts are known and it is the same film;
    no frame is computed. The report's ``elapsed_s`` is the sum of the parts'.

    Parameters
    ----------
    paths : sequence of Path
        Files of the parts, or folders of nothing else, in any order.
    output, film, molecules : Path, optional
        In place of the image, film and table that the parts name.
    overwrite : bool
        Whether to replace an earlier result.
    memory_bytes : int, optional
        The most memory to use; by default a share of the machine's.

    Raises
    ------
    ReconError
        If the parts are not all of one run, or a result cannot be written.
    """
    timed = TimedEvents(events)
    parts = [Part.read(file) for path in paths for file in _files(path)]
    parts.sort(key=lambda part: (part.frames.start, part.frames.stop))
    check_parts(parts)
    job = job_of(parts[0], film, output, molecules)
    settings = replace(job.settings, precision=None, memory_bytes=memory_bytes)
    job = replace(job, settings=settings, overwrite=overwrite)
    frames = parts[0].identity.chunk_frames
    sums = PartialSums(parts)
    with job_run(job, engine_of(parts), events=timed, merged=sums, chunk_frames=frames) as run:
        return write_results(job, replace(run, result=_of_all(run.result, parts)), timed)


def _files(path: Path) -> list[Path]:
    """The parts in a folder, or the file."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob(f"*{PART_ENDING}"))
    if not files:
        raise CheckpointError(
            f"{path} has no files in {PART_ENDING}; expected the parts of a film, as 'recon-client "
            "submit --partial' writes them"
        )
    return files


def _of_all(result: Reconstruction, parts: Sequence[Part]) -> Reconstruction:
    """The result with what the parts counted."""
    return replace(
        result,
        failures=sum(part.failures for part in parts),
        swapped_answers=sum(part.swapped_answers for part in parts),
        elapsed_s=sum(part.elapsed_s for part in parts),
        frames_done=sum(part.frames_done for part in parts),
    )
