"""The facts of a finished run: for the terminal, JSON and the image's metadata."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from smlm_pipeline import contract
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.remarks import remarks
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.job import Job
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.reconstruction import Reconstruction
from smlm_pipeline.run.checks import Check, checks, notes_of
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.identity import SOFTWARE
from smlm_pipeline.run.missing import part_of, parts
from smlm_pipeline.run.timed_events import WHOLE

LEVELS_MOST = 64
"""Frames whose levels a report states."""

_DRIFT_FILES = ("uncorrected_image", "table", "plot")
_RESOLUTION_FILES = ("curve", "plot", "map")
_ERROR_FILES = ("map", "wide_field")

NOTHING_FOUND = (
    "found no emitter at all, so the image is empty; expected a film of blinking molecules: look "
    "at its frames, and at the ranges that the network was trained for (README, Limits)"
)
"""The note on an image whose sum is below one."""


@dataclass(frozen=True)
class Report:
    """The facts of one run; field names carry their units.

    ``molecules`` states the table's file, its number of rows, the least probability of a row, and
    the camera's gain and offset where they were given, and the estimate that they come from where
    there is one; it is None where no table was asked for.
    ``missing`` lists frames and regions that the image lacks, as the film's file counts them;
    ``emitters`` is the sum of the image, ``failures`` the number of requests that were sent again,
    ``swapped_answers`` of them since the answer was to another request, and ``notes`` are sentences
    for the user.
    ``background_adu`` and ``scale_adu`` are the usual levels, ``levels`` those of some frames over
    time; ``scale_error`` is the scale's standard error as a share of it, None where nothing blinks;
    ``brightness_spread`` is how unlike molecules are (`smlm_pipeline.compute.brightness`), None
    where that was not looked at. ``sum_image`` is the plain sum beside a refined image, or empty;
    ``drift`` states the files and the estimate of the drift, and whether it was corrected; it is
    None where that was not asked for.
    ``resolution`` states that of the plain sum without drift, and its files; it is None where it
    was not to be measured.
    ``error_map`` compares the plain sum, with its drift, with the wide field, and states the files
    of both; it is None where that was not asked for, and ``checks`` is empty then. ``page`` is the
    report as a page (HTML), if there is one.
    ``refinement`` states how the image was refined, and is None where it was not to be.
    ``film_sha256`` identifies the film (`smlm_pipeline.film.survey.Survey`), ``network_sha256`` the
    network's file, where the engine states it; ``acquired`` is when the film was taken and
    ``channel`` the name of its channel, where the file states them. ``versions`` are those of
    Python and of the libraries that computed and wrote the image.
    ``network_engine``, ``precision`` and ``processor`` are what computed the network; empty for
    running servers, which do not state that.
    ``elapsed_s`` is from the survey to the sum. ``timings_s`` has the seconds of each stage of the
    run, from opening the film to writing the page, and of the whole run, to which they add up.
    """

    film: str
    image: str
    sum_image: str
    picture: str
    page: str
    molecules: dict[str, Any] | None
    engine: str
    network_engine: str
    precision: str
    processor: str
    model: str
    model_version: str
    film_sha256: str
    network_sha256: str
    acquired: str | None
    channel: str
    settings: dict[str, Any]
    versions: dict[str, str]
    contract_version: int
    software: str
    frames: int
    chunks: int
    zoom: int
    pixel_size_nm: float
    sr_pixel_size_nm: float
    background_adu: float
    scale_adu: float
    scale_error: float | None
    brightness_spread: float | None
    levels: dict[str, list[float]]
    emitters: float
    drift: dict[str, Any] | None
    resolution: dict[str, Any] | None
    error_map: dict[str, Any] | None
    checks: list[dict[str, str]]
    refinement: dict[str, Any] | None
    missing: list[dict[str, Any]]
    failures: int
    swapped_answers: int
    elapsed_s: float
    frames_per_s: float
    selection: dict[str, Any]
    notes: list[str]
    timings_s: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    def image_facts(self, *without: str) -> ImageFacts:
        """What the image's file states; of the image before these steps, where some are named."""
        provenance = {**self.provenance(), **dict.fromkeys(without)}
        name = Path(self.film).name
        return ImageFacts(self.sr_pixel_size_nm, provenance, name, self.acquired, self.channel)

    def provenance(self) -> dict[str, Any]:
        """The facts for the image's metadata, without the names of this machine's folders."""
        kept = self.as_dict()
        for name in ("image", "sum_image", "picture", "page", "timings_s"):
            del kept[name]
        if self.molecules is not None:
            kept["molecules"] = {**self.molecules, "file": Path(self.molecules["file"]).name}
        beside = {"drift": _DRIFT_FILES, "resolution": _RESOLUTION_FILES, "error_map": _ERROR_FILES}
        for facts, files in beside.items():
            if kept[facts] is not None:
                kept[facts] |= {name: Path(kept[facts][name]).name for name in files}
        kept["film"] = Path(self.film).name
        kept["value"] = "expected number of emitters per pixel"
        return kept

    def as_text(self) -> str:
        """A few lines for people."""
        precision = f" in {self.precision}" if self.precision else ""
        page = f"report   {self.page}\n" if self.page else ""
        table = ""
        if self.molecules is not None:
            table = f"{table_line(self.molecules)}\n"
        return (
            f"image    {self.image}  ({self.sr_pixel_size_nm:g} nm pixels, float32)\n"
            f"{self.drift_line}"
            f"{self.resolution_line}"
            f"{self.error_line}"
            f"{self.refinement_line}"
            f"picture  {self.picture}\n"
            f"{page}"
            f"{table}"
            f"found    {self.emitters:,.0f} emitters in {self.frames:,} frames\n"
            f"speed    {self.frames_per_s:,.0f} frames/s "
            f"({self.elapsed_s:.1f} s, {self.engine}{precision}, {self.model} version "
            f"{self.model_version}){whole_line(self.timings_s)}"
        )

    @property
    def drift_line(self) -> str:
        """A line on the drift; none where it was not to be corrected."""
        if self.drift is None:
            return ""
        if not self.drift["corrected"]:
            return f"drift    not corrected; see {self.drift['plot']}\n"
        x_nm, y_nm = self.drift["range_x_nm"], self.drift["range_y_nm"]
        return (
            f"drift    {x_nm:,.0f} nm in x and {y_nm:,.0f} nm in y corrected "
            f"({self.drift['table']}); before, {self.drift['uncorrected_image']}\n"
        )

    @property
    def resolution_line(self) -> str:
        """A line on the resolution; none where it was not to be measured."""
        if self.resolution is None:
            return ""
        found_nm = self.resolution["ring_correlation_nm"]
        number = "not found" if found_nm is None else f"{found_nm:.0f} nm (ring correlation)"
        return f"resolved {number}; see {self.resolution['plot'] or 'the notes'}\n"

    @property
    def error_line(self) -> str:
        """A line on the error map; none where there is none."""
        if self.error_map is None:
            return ""
        count = Counter(check["verdict"] for check in self.checks)
        words = f"{count['ok']} of {len(self.checks)} checks ok"
        for verdict, said in (("look", "to look at"), ("not checked", "not checked")):
            words += f", {count[verdict]} {said}" if count[verdict] else ""
        return f"checked  {words}; RSP {self.error_map['rsp']:.3f} ({self.error_map['map']})\n"

    @property
    def refinement_line(self) -> str:
        """A line on the refinement; none where there was none."""
        if self.refinement is None:
            return ""
        steps = self.refinement["steps"]
        done = f"{steps} steps" if steps else "not at all"
        beside = f"; the plain sum is {self.sum_image}" if self.sum_image else ""
        return f"refined  {done}{beside}\n"


def whole_line(timings_s: Mapping[str, float]) -> str:
    """A line on the time of the whole run, after the other lines; none where it is not known."""
    return f"\nwhole    {timings_s[WHOLE]:.1f} s" if timings_s else ""


def table_line(table: Mapping[str, Any]) -> str:
    """A line on a table of molecules, which says whether photons are by an estimate."""
    estimate = table.get("camera_estimate")
    by = "" if estimate is None else f"; photons by the camera in {estimate['file']}"
    return f"table    {table['file']}  ({table['rows']:,} molecules{by})"


def report(
    result: Reconstruction, job: Job, film: Film, notes: list[str], molecules: int | None = None
) -> Report:
    """Put the facts of a run together; an empty image or missing frames get a note.

    ``molecules`` is the number of rows of the table, if there is one.
    """
    emitters = result.pixels.emitters()
    pixel_size_nm, zoom = job.camera_pixel_nm(film), result.plan.zoom
    network_engine = result.engine.network_engine
    return Report(
        film=str(film.path),
        image=str(job.image),
        sum_image=str(job.sum_image) if result.plan.refines else "",
        picture=str(job.picture),
        page=str(job.page_files.page) if job.page else "",
        molecules=_table(job, molecules),
        engine=result.engine.description,
        network_engine=f"{network_engine.name} {network_engine.version}".strip(),
        precision=network_engine.precision,
        processor=network_engine.processor,
        model=job.settings.model,
        model_version=result.engine.model_version,
        film_sha256=result.survey.film_sha256,
        network_sha256=result.engine.network_sha256,
        acquired=film.acquired,
        channel=film.channel,
        settings={**asdict(job.settings), "drift": job.settings.drift_name},
        versions=_versions(),
        contract_version=contract.CONTRACT_VERSION,
        software=SOFTWARE,
        frames=result.frame_count,
        chunks=result.chunk_count,
        zoom=zoom,
        pixel_size_nm=pixel_size_nm,
        sr_pixel_size_nm=pixel_size_nm / zoom,
        background_adu=result.survey.sample.background_adu,
        scale_adu=result.survey.sample.scale_adu,
        scale_error=result.survey.sample.scale_error,
        brightness_spread=result.survey.brightness_spread,
        levels=_levels(result.survey, film),
        emitters=emitters,
        drift=_drift(job, result),
        resolution=_resolution(job, result),
        error_map=_error_map(job, result),
        checks=[asdict(check) for check in checks_of(result, film)],
        refinement=result.refinement.as_dict() if result.refinement is not None else None,
        missing=missing_parts(film, result.missing.chunks),
        failures=result.failures,
        swapped_answers=result.swapped_answers,
        elapsed_s=result.elapsed_s,
        frames_per_s=result.frames_per_s,
        selection=asdict(film.selection),
        notes=[
            *notes,
            *result.engine.notes,
            *remarks(result.survey, film.corner),
            *result_notes(result),
        ],
    )


def _versions() -> dict[str, str]:
    """Versions of Python, NumPy and tifffile here."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tifffile": tifffile.__version__,
    }


def _table(job: Job, rows: int | None) -> dict[str, Any] | None:
    """The table of molecules, for JSON."""
    if rows is None:
        return None
    return {
        "file": str(job.molecules),
        "rows": rows,
        "probability_min": job.molecules_probability,
        **(job.camera.as_dict() if job.camera is not None else {}),
    }


def _drift(job: Job, result: Reconstruction) -> dict[str, Any] | None:
    """The drift and its files, for JSON."""
    drift = result.drift
    if drift is None:
        return None
    before = str(job.uncorrected_image) if drift.applied is not None else ""
    files = (before, str(job.drift_table), str(job.drift_plot))
    return {**drift.as_dict(), **dict(zip(_DRIFT_FILES, files, strict=True))}


def _resolution(job: Job, result: Reconstruction) -> dict[str, Any] | None:
    """The resolution and its files, for JSON."""
    resolution = result.resolution
    if resolution is None:
        return None
    made = resolution.curve is not None
    files = {name: getattr(job.resolution_files, name) for name in _RESOLUTION_FILES}
    return {
        **resolution.as_dict(),
        **{name: str(path) if made else "" for name, path in files.items()},
    }


def _error_map(job: Job, result: Reconstruction) -> dict[str, Any] | None:
    """The comparison with the wide field and its files, for JSON."""
    if result.comparison is None:
        return None
    files = {name: str(getattr(job.error_files, name)) for name in _ERROR_FILES}
    return {**result.comparison.as_dict(), **files}


def checks_of(result: Reconstruction, film: Film) -> list[Check]:
    """The checks of a run; none where its image was not compared with the wide field."""
    if result.comparison is None:
        return []
    return checks(result.comparison, result.survey, film.corner, result.engine.trained_ranges)


def _levels(survey: Survey, film: Film) -> dict[str, list[float]]:
    """Background and scale over time, for JSON; frames are numbered as in the file."""
    places, levels = survey.sample.levels(LEVELS_MOST)
    corner = film.corner
    numbers: list[float] = [corner.numbers(place, place + 1)[0].start for place in places.tolist()]
    return {"frame": numbers, **levels}


def missing_parts(film: Film, chunks: Iterable[Chunk] = ()) -> list[dict[str, Any]]:
    """Frames and regions that the film's file lacks, and those of chunks that failed."""
    corner = film.corner
    field_px = corner.x_px, corner.y_px, film.width_px, film.height_px
    return [
        *(part_of(frames, field_px) for frames in film.missing),
        *parts(chunks, corner),
    ]


def result_notes(result: Reconstruction) -> list[str]:
    """Notes on a finished run: an empty image, missing frames, requests that failed."""
    notes = [] if result.pixels.emitters() >= 1 else [NOTHING_FOUND]
    notes += result.hints
    if result.drift is not None:
        notes += result.drift.notes
    if result.resolution is not None:
        notes += result.resolution.notes
    if result.refinement is not None:
        notes += result.refinement.notes
    if result.comparison is not None:
        notes += notes_of(result.comparison, result.survey, result.engine.trained_ranges)
    if result.missing.chunks:
        notes.append(result.missing.note(result.frame_count))
    if result.failures:
        notes.append(_failures_note(result))
    if result.swapped_answers:
        notes.append(_swapped_note(result))
    return notes


def _failures_note(result: Reconstruction) -> str:
    """The note that servers failed, though the image lacks nothing for it."""
    times = "once" if result.failures == 1 else f"{result.failures:,} times"
    return (
        f"requests failed {times} for reasons that may pass (a server that is full, stops or dies) "
        "and were sent again; 'recon-client status --canary' shows which servers work"
    )


def _swapped_note(result: Reconstruction) -> str:
    """The note that a server mixed up requests, though none of its answers is in the image."""
    times = "once" if result.swapped_answers == 1 else f"{result.swapped_answers:,} times"
    return (
        f"a server sent the answer to another request {times}; none is in the image, and the "
        "chunks were sent again. A process of that server was stopped or swapped out: see "
        "whether its machine has enough memory"
    )
