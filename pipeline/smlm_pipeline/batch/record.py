"""The record of a batch: the outcome of each film, in ``batch.json`` and ``batch.csv``."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.errors import OutputError

RECORD_NAME, TABLE_NAME = "batch.json", "batch.csv"
"""Names of the record and of the table, in the folder of the results."""

RECORD_VERSION = 1
"""Version of the record's form."""

State: TypeAlias = Literal["done", "failed", "skipped", "not started", "planned"]

_COLUMNS = ("film", "state", "reason", "image", "exit_code", "elapsed_s")

_OF_REPORT = ("frames", "emitters", "pixel_size_nm", "sr_pixel_size_nm", "frames_per_s")

_OF_CHANNELS = (
    *("first_channel", "first_emitters", "second_channel", "second_emitters", "registered_by"),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one film.

    Attributes
    ----------
    film, image : str
        The film's name within the batch, and the image's path.
    state : str
        "done" in this call; "skipped", since it was done before; "failed"; "not started", since
        the call ended before or no server was left; or "planned" by a dry run.
    reason : str
        Why it failed, was skipped or was not started, in words.
    exit_code : int
        That of ``recon-client submit`` for the film; 0 unless it failed.
    elapsed_s : float
        Time that this call spent on the film.
    made : Mapping
        Film and settings from which the image is or is to be made; see `settings_of`.
    report : Mapping or None
        The report of the run, of one channel or two, without levels, which are in the image's
        metadata.
    """

    film: str
    image: str
    state: State
    reason: str = ""
    exit_code: int = 0
    elapsed_s: float = 0.0
    made: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Summary:
    """How many films of a batch had which outcome."""

    films: int
    done: int
    failed: int
    skipped: int
    not_started: int
    planned: int
    elapsed_s: float
    exit_code: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], elapsed_s: float) -> Summary:
        """Count outcomes; the exit code is that of the first film that failed, in their order."""
        states = [each.state for each in outcomes]
        codes = (each.exit_code for each in outcomes if each.exit_code)
        return cls(
            len(outcomes),
            states.count("done"),
            states.count("failed"),
            states.count("skipped"),
            states.count("not started"),
            states.count("planned"),
            elapsed_s,
            next(codes, 0),
        )

    def as_text(self) -> str:
        """One line for people."""
        counts = {
            "done": self.done,
            "skipped (done before)": self.skipped,
            "failed": self.failed,
            "not started": self.not_started,
            "planned": self.planned,
        }
        stated = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return (
            f"{self.films} film{'s' if self.films != 1 else ''}: {stated} ({self.elapsed_s:,.0f} s)"
        )


class Record:
    """The outcomes of all calls with one folder of results; see `read_record`.

    Parameters
    ----------
    folder : Path
        The folder of the results.
    earlier : Mapping
        Outcomes of earlier calls, by the names of the films.
    """

    def __init__(self, folder: Path, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        self._films: dict[str, Mapping[str, Any]] = dict(earlier)
        self._lock = threading.Lock()

    def made(self, film: str) -> Mapping[str, Any]:
        """Film and settings from which an earlier call made or began an image; or empty."""
        made: Mapping[str, Any] = self._films.get(film, {}).get("made", {})
        return made

    def report(self, film: str) -> Mapping[str, Any] | None:
        """The report of an earlier call, if it finished the film."""
        return self._films.get(film, {}).get("report")

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome, in the files too; any thread may.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        with self._lock:
            self._films[outcome.film] = outcome.as_dict()
            films = list(self._films.values())
            record = {"schema_version": RECORD_VERSION, "films": films}
            with written_whole(self.folder / RECORD_NAME) as file:
                file.write((json.dumps(record, indent=1) + "\n").encode())
            with written_whole(self.folder / TABLE_NAME) as file:
                file.write(_as_csv(films).encode())


def read_record(folder: Path) -> Record:
    """Read the record of earlier calls; an empty one if there is none.

    Raises
    ------
    OutputError
        If the file is damaged or of a later release.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        return Record(folder, {})
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        if stated["schema_version"] != RECORD_VERSION:
            raise ValueError(f"version {stated['schema_version']}")
        return Record(folder, {each["film"]: each for each in stated["films"]})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OutputError(
            f"{path} is not the record of a batch that this release can read ({error}); expected "
            "one of its own: choose another folder with -o, or remove the file to begin again"
        ) from error


def _as_csv(films: Sequence[Mapping[str, Any]]) -> str:
    """One row for each film; what is not known, or of two channels alone, is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_OF_REPORT, *_OF_CHANNELS])
    for film in films:
        report = film.get("report") or {}
        facts = [film.get(name, "") for name in _COLUMNS]
        writer.writerow(
            [*facts, *(report.get(name, "") for name in _OF_REPORT), *_channels(report)]
        )
    return text.getvalue()


def _channels(report: Mapping[str, Any]) -> list[Any]:
    """Names and emitters of two channels, and by what the second one is registered."""
    channels = report.get("channels", {})
    if not channels:
        return [""] * len(_OF_CHANNELS)
    found = [fact for name, each in channels.items() for fact in (name, each["emitters"])]
    return [*found, report["registration"]["method"]]
