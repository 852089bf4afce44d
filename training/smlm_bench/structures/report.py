"""The result of the suite: a table with the worst film on top, as JSON and as Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from smlm_bench.console import grid
from smlm_bench.structures.films import FilmLine
from smlm_bench.structures.scores import BLUR
from smlm_bench.structures.suite import Outcome

HEADS = (
    "film",
    "NMSE 0 / 1 / 2, %",
    "ideal",
    "times ideal",
    "sum / true",
    "Jaccard, %",
    "RMSE, nm",
    "error / sigma",
    "|share - p|",
    "beads, %",
    "FRC (ideal), nm",
)

_FILM_HEADS = (
    "film",
    "half",
    "structure",
    "per um2",
    "shines for",
    "PSF, sigma in px",
    "photons",
    "background",
    "camera",
    "frames",
)


@dataclass(frozen=True)
class Tested:
    """The network that was tested, and by which half of the suite."""

    network: str
    sha256: str
    engine: str
    half: str


def worst_first(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Films in the order of their NMSE over that of the ideal localiser, the largest first."""
    return sorted(outcomes, key=lambda outcome: -outcome.scores.excess)


def as_json(tested: Tested, outcomes: Sequence[Outcome]) -> str:
    """All scores, and the worst and the median film of each."""
    content = {
        "network": tested.network,
        "sha256": tested.sha256,
        "engine": tested.engine,
        "half": tested.half,
        "summary": summary(outcomes),
        "films": [outcome.as_dict() for outcome in worst_first(outcomes)],
    }
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Worst and median over the films of what networks are chosen by."""
    scores = [outcome.scores for outcome in outcomes]
    beads = [each.image.modulation_percent for each in scores]
    columns = {
        "times ideal": [each.excess for each in scores],
        "NMSE at blur 1, %": [each.image.nmse_percent[BLUR] for each in scores],
        "|sum / true - 1|, %": [100 * abs(each.sum_ratio - 1) for each in scores],
        "beads, %": [each for each in beads if each is not None],
    }
    molecules = [each.molecules for each in scores if each.molecules is not None]
    columns["|ln(error / sigma)|"] = [abs(math.log(each.error_over_sigma)) for each in molecules]
    columns["|share - p|"] = [each.probability_error for each in molecules]
    return {
        name: {"worst": max(values), "median": median(values)}
        for name, values in columns.items()
        if values
    }


def as_markdown(tested: Tested, outcomes: Sequence[Outcome]) -> str:
    """The summary, then a row a film, the worst first."""
    films = f"{len(outcomes)} films, half: {tested.half}"
    heading = f"`{tested.network}` ({tested.engine}), {films}"
    totals = [
        [name, f"{both['worst']:.3g}", f"{both['median']:.3g}"]
        for name, both in summary(outcomes).items()
    ]
    rows = [cells(outcome) for outcome in worst_first(outcomes)]
    tables = (grid(("over the films", "worst", "median"), totals), grid(HEADS, rows))
    return "\n\n".join((heading, *tables)) + "\n"


def cells(outcome: Outcome) -> list[str]:
    """Cells of a film's row, under ``HEADS``."""
    scores, molecules = outcome.scores, outcome.scores.molecules
    localised = ["-"] * 4
    if molecules is not None:
        localised = [
            f"{100 * molecules.jaccard:.1f}",
            f"{molecules.rmse_nm:.1f}",
            f"{molecules.error_over_sigma:.2f}",
            f"{molecules.probability_error:.3f}",
        ]
    beads = scores.image.modulation_percent
    return [
        outcome.line.name,
        _three(scores.image.nmse_percent),
        _three(scores.ideal.nmse_percent),
        f"{scores.excess:.1f}",
        f"{scores.sum_ratio:.3f}",
        *localised,
        "-" if beads is None else f"{beads:.1f}",
        f"{scores.image.frc_nm:.0f} ({scores.ideal.frc_nm:.0f})",
    ]


def films_as_markdown(lines: Sequence[FilmLine]) -> str:
    """What each film is, a row a film."""
    return grid(_FILM_HEADS, [_film_cells(line) for line in lines]) + "\n"


def _film_cells(line: FilmLine) -> list[str]:
    length = f"{line.structure}, {line.length_um:g} um" if line.length_um else line.structure
    shines = f"{line.on_frames:g} frames" if line.on_frames else "one frame"
    return [
        line.name,
        line.half,
        length,
        f"{line.density_per_um2:g}",
        shines,
        f"{line.psf} {line.sigma_px:g}",
        f"{line.photons:g} +- {line.photon_spread:.0%}",
        f"{line.background_photons:g}",
        line.camera,
        f"{line.frames}",
    ]


def _three(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _finite(value: Any) -> Any:
    """The value with None for infinity and NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
