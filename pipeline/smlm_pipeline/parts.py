"""Parts of a film: sum one of them into a file, and merge all of them into the image.

A part has the chunks, levels, halves and precision classes of the run of the whole film, and sums
are integers. The merged result therefore has the bits of one run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from smlm_pipeline.engines.opening import EngineChoice
from smlm_pipeline.errors import CheckpointError, SettingError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.job import PART_ENDING, Job, PartAsked, image_path
from smlm_pipeline.output.picture_style import PictureStyle
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.report import Report, missing_parts
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.partial_file import damaged
from smlm_pipeline.run.parts import Part, PartialSums, check_parts, engine_of, part_facts
from smlm_pipeline.settings import CHANGE_NO_IMAGE, DRIFT_AUTO, DRIFT_OFF, Settings
from smlm_pipeline.submission import job_run, write_results
from smlm_pipeline.tables.camera_units import CameraUnits


@dataclass(frozen=True)
class PartReport:
    """The facts of a part; fields as in `Report`.

    ``part`` is its file, ``frames`` are first and last (excluded) of those asked for, of
    ``frames_of_film``, and ``requests`` is the number of chunks that begin in them.
    """

    part: str
    film: str
    frames: tuple[int, int]
    frames_of_film: int
    requests: int
    engine: str
    model: str
    model_version: str
    missing: list[dict[str, Any]]
    failures: int
    elapsed_s: float
    frames_per_s: float
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A few lines for people."""
        first, last = self.frames
        return (
            f"part     {self.part}  (frames {first:,} to {last:,} of {self.frames_of_film:,}, "
            f"{self.requests:,} requests)\n"
            f"speed    {self.frames_per_s:,.0f} frames/s ({self.elapsed_s:.1f} s, {self.engine}, "
            f"{self.model} version {self.model_version})"
        )


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
        As `submission.submit` does.
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
            "asked": _asked(job),
            "job": _facts_of(job),
            "failures": result.failures,
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
    if not same or dict(part.asked) != json.loads(json.dumps(_asked(job))):
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
        elapsed_s=part.elapsed_s,
        frames_per_s=part.frames_done / part.elapsed_s,
        notes=[],
    )


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
    parts = [Part.read(file) for path in paths for file in _files(path)]
    parts.sort(key=lambda part: (part.frames.start, part.frames.stop))
    check_parts(parts)
    job = _job_of(parts[0], film, output, molecules)
    settings = replace(job.settings, precision=None, memory_bytes=memory_bytes)
    job = replace(job, settings=settings, overwrite=overwrite)
    frames = parts[0].identity.chunk_frames
    sums = PartialSums(parts)
    with job_run(job, engine_of(parts), events=events, merged=sums, chunk_frames=frames) as run:
        return write_results(job, replace(run, result=_of_all(run.result, parts)), events)


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
        elapsed_s=sum(part.elapsed_s for part in parts),
        frames_done=sum(part.frames_done for part in parts),
    )


def _asked(job: Job) -> dict[str, Any]:
    """The options that must be equal in all parts of a run, as the command names them."""
    settings = asdict(job.settings)
    apart = {*CHANGE_NO_IMAGE, "precision", "allow_partial"}  # the identity has the precision
    selection = asdict(job.selection)
    selection["roi"] = selection.pop("roi_px")
    for name in ("frames", "pattern"):
        del selection[name]
    return {
        **{name: value for name, value in settings.items() if name not in apart},
        **selection,
        "drift": job.settings.drift_name,
        "pixel_size_nm": job.pixel_size_nm,
        "molecules": job.molecules is not None,
        "molecules_probability": job.molecules_probability,
        "gain_adu_per_photon": job.camera and job.camera.gain_adu_per_photon,
        "offset_adu": job.camera and job.camera.offset_adu,
    }


def _facts_of(job: Job) -> dict[str, Any]:
    """What `_job_of` needs, for JSON; paths are absolute, since a part may be merged elsewhere."""
    drift = job.settings.drift_file
    return {
        "film": str(job.film.resolve()),
        "image": str(job.image.resolve()),
        "molecules": None if job.molecules is None else str(job.molecules.resolve()),
        "settings": {
            **asdict(job.settings),
            "drift": job.settings.drift if drift is None else str(drift.resolve()),
        },
        "selection": asdict(job.selection),
        "pixel_size_nm": job.pixel_size_nm,
        "molecules_probability": job.molecules_probability,
        "camera": None if job.camera is None else asdict(job.camera),
        "style": asdict(job.style),
    }


def _job_of(part: Part, film: Path | None, output: Path | None, molecules: Path | None) -> Job:
    """The job that a part names, with other files where they are given."""
    kept = part.job
    try:
        settings = dict(kept["settings"])
        if settings["drift"] not in (DRIFT_OFF, DRIFT_AUTO):
            settings["drift"] = Path(settings["drift"])
        selection = dict(kept["selection"])
        selection["frames"] = tuple(selection["frames"])
        selection["roi_px"] = selection["roi_px"] and tuple(selection["roi_px"])
        job = Job(
            film or Path(kept["film"]),
            Path(kept["image"]),
            Settings(**settings),
            kept["pixel_size_nm"],
            Selection(**selection),
            molecules=kept["molecules"] and Path(kept["molecules"]),
            molecules_probability=kept["molecules_probability"],
            camera=kept["camera"] and CameraUnits(**kept["camera"]),
            style=PictureStyle(**kept["style"]),
        )
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(part.path) from error
    if molecules is not None and job.molecules is None:
        raise SettingError(
            "--molecules asks for a table, and the parts keep no molecules; expected parts that "
            "were submitted with --molecules: leave it out, or submit them again"
        )
    if not job.film.exists():
        raise CheckpointError(
            f"{job.film} is not there, the film of {part.path}; expected the film, of which a "
            "sample is read: name it with --film"
        )
    image = job.image if output is None and film is None else image_path(job.film, output)
    return replace(job, image=image, molecules=molecules or job.molecules)
