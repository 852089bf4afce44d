"""The job of each film of a batch: what is done already, what continues, what begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from smlm_pipeline.batch.films import BatchFilm
from smlm_pipeline.batch.record import Record
from smlm_pipeline.errors import OutputError
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.film.selection import SPLITS, Selection
from smlm_pipeline.job import Job
from smlm_pipeline.output.picture_style import DEFAULT_STYLE, PictureStyle
from smlm_pipeline.run.identity import SOFTWARE
from smlm_pipeline.settings import CHANGE_NO_IMAGE, MOLECULES_PROBABILITY, Settings
from smlm_pipeline.tables.camera_units import CameraUnits

DONE_BEFORE = "done before with the same settings"


@dataclass(frozen=True)
class BatchSettings:
    """What is asked for all films of a batch.

    ``molecules_ending`` is the ending of the tables of molecules, if any; ``network_sha256`` is
    empty where a server does not state its network. See `Job` for the others.
    """

    settings: Settings
    selection: Selection = field(default_factory=Selection)
    pixel_size_nm: float | None = None
    molecules_ending: str | None = None
    molecules_probability: float = MOLECULES_PROBABILITY
    camera: CameraUnits | None = None
    style: PictureStyle = DEFAULT_STYLE
    page: bool = False
    channels: Channels | None = None
    overwrite: bool = False
    network_sha256: str = ""


@dataclass(frozen=True)
class BatchJob:
    """The job of a film, and what its image is made from.

    ``skipped`` is why there is nothing to do, or empty.
    """

    film: BatchFilm
    job: Job
    made: Mapping[str, Any]
    skipped: str = ""


def batch_job(film: BatchFilm, asked: BatchSettings, record: Record) -> BatchJob:
    """Decide what to do with a film.

    - A film that was done with the same settings, and whose results exist, is skipped.
    - A film that was begun with the same settings continues from its checkpoint, or starts over
      if it has none.
    - Any other result is replaced only on demand; else the job is refused when it is checked.
    """
    made = settings_of(film, asked)
    before = record.made(film.name)
    job = Job(
        film.path,
        film.image,
        replace(asked.settings, precision=None),  # the engine's, which is opened once for all
        asked.pixel_size_nm,
        replace(asked.selection, pattern=film.pattern),
        molecules=_table(film, asked.molecules_ending),
        molecules_probability=asked.molecules_probability,
        camera=asked.camera,
        style=asked.style,
        page=asked.page,
        channels=asked.channels,
    )
    unfinished = any(map(Path.is_file, job.checkpoints))
    if before == made:
        if record.report(film.name) and not unfinished and all(map(Path.exists, job.sure_results)):
            return BatchJob(film, job, made, DONE_BEFORE)
        return BatchJob(film, replace(job, resume=unfinished, overwrite=not unfinished), made)
    return BatchJob(film, replace(job, overwrite=asked.overwrite), made)


def settings_of(film: BatchFilm, asked: BatchSettings) -> dict[str, Any]:
    """All that determines the image of a film, for JSON: the file, and the settings.

    The file is known by its size and time of change; a folder by those of its entries.
    """
    settings = _plain(asdict(asked.settings))
    return {
        "software": SOFTWARE,
        "network_sha256": asked.network_sha256,
        "file": _file_key(film.path),
        **{name: value for name, value in settings.items() if name not in CHANGE_NO_IMAGE},
        "selection": _plain(asdict(replace(asked.selection, pattern=film.pattern))),
        "pixel_size_nm": asked.pixel_size_nm,
        "molecules": asked.molecules_ending,
        "molecules_probability": asked.molecules_probability,
        "camera": asked.camera.as_dict() if asked.camera else None,
        "picture": asdict(asked.style),
        "page": asked.page,
        "channels": _channels_key(asked.channels),
    }


def _channels_key(channels: Channels | None) -> dict[str, Any] | None:
    """How a film holds two channels, and the state of the film of beads."""
    if channels is None:
        return None
    beads = channels.beads
    return {**_plain(asdict(channels)), "beads_file": [] if beads is None else _file_key(beads)}


def check_replaced(planned: BatchJob, before: Mapping[str, Any]) -> None:
    """Refuse a job that would replace a result of other settings, unless that is asked for.

    ``before`` is what an earlier call made or began the image from; see `Record.made`.

    Raises
    ------
    OutputError
        If there is such a result, or one that is not of this batch.
    """
    job = planned.job
    existing = [path for path in (*job.results, *_checkpoints(job)) if path.exists()]
    if existing and not (job.overwrite or job.resume):
        reason = _differences(before, planned.made) or "it is not of this batch"
        raise OutputError(
            f"{existing[0]} exists, and {reason}; expected the settings of the earlier call, "
            "--overwrite to replace it, or another folder -o"
        )


def _checkpoints(job: Job) -> list[Path]:
    """The checkpoints that an interrupted run may have left, of one channel or of two."""
    splits = (replace(job, channels=Channels(split, ("", ""))) for split in SPLITS)
    return [job.checkpoint, *(path for split in splits for path in split.checkpoints)]


_FILES = {"file": "film", "network_sha256": "network", "beads_file": "film of beads"}
"""What is known by its size, time or checksum, which mean nothing to people."""


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What changed between two calls, in words; empty if the film was not in the first one."""
    return "; ".join(_changes(before, now)) if before else ""


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Each change, in words; settings that hold several values are looked into."""
    for name in {**now, **before}:
        was, value = before.get(name), now.get(name)
        if was == value or (name == "beads_file" and before.get("beads") != now.get("beads")):
            continue
        if name in _FILES:
            yield f"the {_FILES[name]} has changed"
        elif isinstance(was, dict) and isinstance(value, dict):
            yield from _changes(was, value)
        else:
            yield f"{_option(name)} was {_said(was)} and is {_said(value)}"


_OPTIONS = {
    "roi_px": "--roi",
    "page": "--report",
    "split": "--channels",
    "half": "--channels",
    "names": "--channel-names",
    "registers": "--registration",
    "beads": "--registration-film",
    "software": "the release",
    "camera_estimate": "--camera",
}
"""Options of settings that have another name."""


def _option(name: str) -> str:
    """The option that a user gives a setting by."""
    return _OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _said(value: Any) -> str:
    """A value as users give it: two channels by how a film holds them."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        value = value.get("split", value.get("file", "another one"))
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "not given" if value in (None, "") else str(value)


def _table(film: BatchFilm, ending: str | None) -> Path | None:
    """The table of molecules beside the image."""
    if ending is None:
        return None
    stem = film.image.name.removesuffix(".ome.tif")
    return film.image.with_name(f"{stem}.{ending.removeprefix('.')}")


def _file_key(path: Path) -> list[int]:
    """Number of files, their bytes, and the time of the last change in ns; empty if none."""
    try:
        files = [each for each in path.iterdir() if each.is_file()] if path.is_dir() else [path]
        states = [each.stat() for each in files]
    except OSError:  # the run says what is wrong
        return []
    if not states:
        return []
    changed_ns = max(each.st_mtime_ns for each in states)
    return [len(states), sum(each.st_size for each in states), changed_ns]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON returns it: tuples are lists, and paths text."""
    return {
        name: list(value)
        if isinstance(value, tuple)
        else str(value)
        if isinstance(value, Path)
        else value
        for name, value in values.items()
    }
