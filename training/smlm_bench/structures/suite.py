"""Run the films of the suite one after the other, and keep what is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import smlm_bench.structures
import smlm_pipeline
import smlm_training.scoring
from smlm_bench.structures.films import FilmLine, make_film
from smlm_bench.structures.reconstruction import reconstruct
from smlm_bench.structures.scores import (
    FilmScores,
    ImageScores,
    MoleculeScores,
    drawn_halves,
    score_film,
)
from smlm_bench.table.results import KeptFile
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.settings import Settings

_CODE = (smlm_bench.structures, smlm_pipeline, smlm_training.scoring)
"""Packages whose source decides what comes out."""

_PRESENTATION = {"command.py", "report.py", "strip.py"}
"""Files of the suite that only show it."""


@dataclass(frozen=True)
class Outcome:
    """Scores of a film, and its true and its drawn image (Y, X), float32."""

    line: FilmLine
    scores: FilmScores
    truth: NDArray[np.float32]
    image: NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """The line of the film and all scores, for JSON."""
        return {**asdict(self.line), "excess": self.scores.excess, **asdict(self.scores)}


def outcomes(
    lines: Iterable[FilmLine],
    engine: LocalTransport,
    *,
    network_sha256: str,
    folder: Path,
    note: Callable[[str], None],
    brightness: str = Settings.brightness,
) -> Iterator[Outcome]:
    """Make, reconstruct and score films; those that are done already are read.

    A result is kept under a hash of its line, of the network and its precision, and of all source
    code that it depends on.

    Parameters
    ----------
    lines : iterable of FilmLine
        The films.
    engine : LocalTransport
        The network.
    network_sha256 : str
        Hash of the network's file.
    folder : Path
        Keeps a file for each film.
    note : callable
        Receives a line about a damaged file.
    brightness : str
        As `Settings.brightness`.

    Yields
    ------
    Outcome
        In the order of the lines.
    """
    code = _code_sha256()
    for line in lines:
        key = [asdict(line), network_sha256, str(engine.network.engine), brightness, code]
        name = line.name.replace(" ", "-")
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        file = KeptFile(folder / f"{name}.npz", digest, note)
        yield _kept(line, file) or _made(line, engine, brightness, file)


def _made(line: FilmLine, engine: LocalTransport, brightness: str, file: KeptFile) -> Outcome:
    film = make_film(line)
    found = reconstruct(film.frames_adu, engine, brightness)
    scores = score_film(film, found)
    truth = drawn_halves(film.emitters.molecules(), found.second_half).whole
    outcome = Outcome(line, scores, truth.astype(np.float32), found.halves.whole.astype(np.float32))
    file.write(
        {
            "scores": np.array(json.dumps(asdict(scores))),
            "truth": outcome.truth,
            "image": outcome.image,
        }
    )
    return outcome


def _kept(line: FilmLine, file: KeptFile) -> Outcome | None:
    arrays = file.read()
    if arrays is None:
        return None
    return Outcome(
        line, _scores(json.loads(str(arrays["scores"]))), arrays["truth"], arrays["image"]
    )


def _scores(stored: dict[str, Any]) -> FilmScores:
    molecules = stored["molecules"]
    return FilmScores(
        _image_scores(stored["image"]),
        _image_scores(stored["ideal"]),
        stored["sum_ratio"],
        stored["emitters"],
        None if molecules is None else MoleculeScores(**molecules),
    )


def _image_scores(stored: dict[str, Any]) -> ImageScores:
    return ImageScores(**{**stored, "nmse_percent": tuple(stored["nmse_percent"])})


def _code_sha256() -> str:
    digest = hashlib.sha256()
    for package in _CODE:
        root = Path(package.__path__[0])
        for file in sorted(path for path in root.rglob("*") if path.suffix in (".py", ".csv")):
            if not (package is smlm_bench.structures and file.name in _PRESENTATION):
                digest.update(file.read_bytes())
    return digest.hexdigest()
