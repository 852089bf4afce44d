"""Sum a part of a film into a file.

A part has the chunks, levels, halves and precision classes of the run of the whole film, and sums
are integers. The merged result therefore has the bits of one run.
"""

from __future__ import annotations

import json
from pathlib import Path

from smlm_pipeline.engines.opening import EngineChoice
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.part_asked import PartAsked
from smlm_pipeline.job import Job
from smlm_pipeline.parts.kept_job import asked_of, facts_of
from smlm_pipeline.parts.report import PartReport
from smlm_pipeline.report import missing_parts
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.parts import Part, part_facts
from smlm_pipeline.submission.submit import job_run


def run_part(
    job: Job,
    engine: EngineChoice,
    *,
    model_repository: Path | None = None,
    events: Events = SILENCE,
) -> PartReport:
    """Sum the part of a film that a job names, and write its file.

    A job that resumes, and whose part is there, whole and with the same options, is done.

    Raises
    ------
    ReconError
        As `submission.submit.submit` does.
    """
    if job.part is None:
        raise ValueError("the job names no part")
    done = _done_before(job, job.part) if job.resume else None
    if done is not None:
        events.note(f"{job.part.path} is there already")
        return done
    with job_run(job, engine, model_repository=model_repository, events=events) as run:
        result, frame_count = run.result, run.film.frame_count
        frames = job.part.of(frame_count)
        facts = {
            **part_facts(result.missing, result.engine),
            "frames": [frames.start, frames.stop],
            "frame_count": frame_count,
            "asked": asked_of(job),
            "job": facts_of(job),
            "failures": result.failures,
            "swapped_answers": result.swapped_answers,
            "elapsed_s": result.elapsed_s,
            "frames_done": result.frames_done,
        }
        run.checkpoint.write_part(job.part.path, facts)
        run.checkpoint.results_are_written()
        notes = [*run.notes, *result.engine.notes]
        if result.missing.chunks:
            notes.append(f"the part lacks frames: {result.missing.reason}")
            events.warning(notes[-1])
        return PartReport(
            part=str(job.part.path),
            film=str(run.film.path),
            frames=(frames.start, frames.stop),
            frames_of_film=frame_count,
            requests=len(result.plan.chunks),
            engine=result.engine.description,
            model=job.settings.model,
            model_version=result.engine.model_version,
            missing=missing_parts(run.film, result.missing.chunks),
            failures=result.failures,
            swapped_answers=result.swapped_answers,
            elapsed_s=result.elapsed_s,
            frames_per_s=result.frames_per_s,
            notes=notes,
        )


def _done_before(job: Job, asked: PartAsked) -> PartReport | None:
    """The facts of the part, if an earlier run has written it: a cluster may start a task again."""
    if job.checkpoint.is_file() or not asked.path.is_file():
        return None
    part = Part.read(asked.path)
    with open_film(job.film, job.selection, allow_partial=job.settings.allow_partial) as film:
        frame_count, frames = film.frame_count, asked.of(film.frame_count)
    same = (part.frame_count, part.frames) == (frame_count, frames) and not part.missing
    if not same or dict(part.asked) != json.loads(json.dumps(asked_of(job))):
        return None  # which is refused as a file that exists
    return PartReport(
        part=str(asked.path),
        film=str(job.film),
        frames=(frames.start, frames.stop),
        frames_of_film=frame_count,
        requests=part.identity.requests,
        engine=part.engine["description"],
        model=job.settings.model,
        model_version=part.engine["model_version"],
        missing=[],
        failures=part.failures,
        swapped_answers=part.swapped_answers,
        elapsed_s=part.elapsed_s,
        frames_per_s=part.frames_done / part.elapsed_s,
        notes=[],
    )
