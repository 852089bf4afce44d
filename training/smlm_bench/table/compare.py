"""All methods on one film: results, rows, files and the figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.catalogue import Sources, is_kept, opened
from smlm_bench.choice import Choice
from smlm_bench.machine import machine
from smlm_bench.table.figure import write_table_figure
from smlm_bench.table.film import ComparedFilm
from smlm_bench.table.markdown import table_csv, table_json, table_markdown
from smlm_bench.table.passes import Keeping, Result, Timing, pass_over
from smlm_bench.table.results import rows_in
from smlm_bench.table.scores import BASELINES, Row, by_chance, rows

RESULTS = "methods"
"""Folder of the methods' results, beside the table."""


def compare(
    film: ComparedFilm,
    choice: Choice,
    sources: Sources,
    folder: Path,
    timing: Timing,
    tell: Callable[[str, int, float], None],
    note: Callable[[str], None],
) -> list[Row]:
    """Run the methods that have no result yet, and write the table again after each.

    An earlier table in the folder is replaced once the new one has as many rows.

    Parameters
    ----------
    film : ComparedFilm
        The film.
    choice : Choice
        The methods.
    sources : Sources
        Networks and server.
    folder : Path
        ``table.md``, ``.csv``, ``.json``, ``figure.png`` and the results of each method.
    timing : Timing
        Number of passes over the film.
    tell : callable
        Receives a method's name, the frames it has finished, and the seconds left.
    note : callable
        Receives a line for the user.

    Returns
    -------
    list of Row
        The table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier_rows = rows_in(folder)
    circumstances = about(film, choice.left_out)
    results: list[Result] = []
    table: list[Row] = []
    for name in choice.names:

        def tell_of(frames: int, left_s: float, name: str = name) -> None:
            tell(name, frames, left_s)

        keeping = Keeping(folder / RESULTS if is_kept(name) else None, note)
        with opened(name, film.facts, sources) as method:
            results.append(pass_over(name, method, film, keeping, timing, tell_of))
        table = rows(results, film)
        sittings = {result.name: asdict(result.sitting) for result in results}
        if len(table) >= min(earlier_rows, len(choice.names)):
            _write_tables(folder, table, {**circumstances, "sittings": sittings})
    truth = film.truth()
    images = {"wide field": film.widefield(), **_shown(results)}
    captions: dict[str, str] = {}
    for row in table:
        title = "wide field" if row.method == "widefield" else row.method.partition("@")[0]
        errors = " / ".join(f"{each:.1f}" for each in row.image.nmse_percent)
        captions.setdefault(title, f"NMSE {errors} %")
    write_table_figure(
        folder / "figure.png", images, truth, fine_nm=film.fine_nm, captions=captions
    )
    return table


def about(film: ComparedFilm, left_out: Mapping[str, str]) -> dict[str, Any]:
    """Describe film and machine, without a folder of this machine, for a table in JSON."""
    return {
        "film": film.name,
        "sha256": film.sha256,
        "frames": list(film.frame_range),
        "shape_px": list(film.facts.shape_px),
        "molecules": len(film.true.frame),
        "molecules_outside": asdict(film.outside),
        "fine_nm": film.fine_nm,
        "levels_ms_per_frame": film.levels_ms_per_frame,
        "facts": film.facts_as_json(),
        "facts_from": dict(film.facts_from),
        "machine": machine(),
        "chance_jaccard": [each.jaccard for each in by_chance(film)],
        "left_out": dict(left_out),
    }


def _shown(results: Sequence[Result]) -> dict[str, NDArray[np.float64]]:
    """Pick one image for each network, whichever runtime made it, and for each other method."""
    shown: dict[str, NDArray[np.float64]] = {}
    for result in results:
        if result.name not in BASELINES:
            shown.setdefault(result.name.partition("@")[0], result.image)
    return shown


def _write_tables(folder: Path, table: Sequence[Row], circumstances: dict[str, Any]) -> None:
    for name, text in (
        ("table.md", table_markdown(table, circumstances)),
        ("table.csv", table_csv(table)),
        ("table.json", table_json(table, circumstances)),
    ):
        beside = folder / f".{name}"
        beside.write_text(text, encoding="utf-8")
        beside.replace(folder / name)
