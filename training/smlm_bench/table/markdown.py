"""The table in Markdown, CSV and JSON: errors, speed, and the reference paper's own."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from smlm_bench.console import grid
from smlm_bench.method import CLASSICAL_NAMES, PEER, NetworkMethod
from smlm_bench.table.scores import FILM, HARDWARE, TABLE_1, PublishedRow, Row, published_beside
from smlm_pipeline.film.frame_numbers import in_words
from smlm_pipeline.settings import REFINE_AUTO
from smlm_training.scoring.detection_scores import DetectionScore
from smlm_training.scoring.evaluate import BLURS_PX

_ERRORS = (
    *("method", "NMSE %", "least squares %", "PSNR dB", "paper's NMSE %", "paper's PSNR dB"),
    *("sum / true", "Jaccard % at 250 / 100 nm", "recall %", "precision %", "RMSE nm"),
)


_SPEED = (
    *("method", "ms a frame", "fastest to slowest", "passes", f"times {PEER}", "answers with"),
    "published ms",
)


_PUBLISHED = ("published in the reference paper", "NMSE %", "PSNR dB", "ms a frame", "beside")


_FACTS = (
    ("pixel_size_nm", "nm a camera pixel"),
    ("sigma_px", "px sigma"),
    ("molecule_photons", "photons a molecule"),
    ("adu_per_photon", "ADU a photon"),
    ("offset_adu", "ADU offset"),
)


def table_markdown(table: Sequence[Row], about: dict[str, Any]) -> str:
    """Write three tables: errors, speed, the reference paper's own; and explain the columns."""
    parts = [
        f"{about['film']}: {in_words([range(*about['frames'])])} of "
        f"{about['shape_px'][0]} x {about['shape_px'][1]} pixels, {about['molecules']:,} "
        f"molecules; {about['machine']}.",
        *_circumstances(about),
        "Errors. NMSE, PSNR and least squares with floor bins, at a blur of 0 / 1 / 2 SR pixels "
        f"of {about['fine_nm']:g} nm; equal sums unless least squares is said. In the reference "
        "paper's formulas each image is divided by its maximum, a convention of ours, as it states "
        "none. Molecules are paired frame by frame within 250 nm; for the second index, 100; "
        f"the field's rim included.{_by_chance(about)} Molecules are of the runtimes that "
        "answer with them.",
        grid(_ERRORS, _merged([_errors(row) for row in table])),
        "Speed: the method alone, on frames in memory; the median of all passes over the film, and "
        f"their range. Times {PEER} is its median over the method's, in this run. What answers "
        "with molecules has made their table as well as the image. Levels, which networks "
        f"are given, are not in it: {about['levels_ms_per_frame']:.2f} ms a frame.",
        grid(_SPEED, [_speed(row) for row in table if row.reconstructs]),
        *_refinements(table),
        f"Published in the reference paper, on other hardware ({HARDWARE}; {FILM}); how its images "
        "were scaled and blurred is not stated, so its errors compare among themselves only. The "
        "layers of literature [5] and of the paper's network are not published: "
        "unet-interpolated is a "
        "guess at them.",
        grid(_PUBLISHED, [_published(row) for row in TABLE_1]),
    ]
    return "\n\n".join(parts) + "\n"


def _by_chance(about: dict[str, Any]) -> str:
    if not about["chance_jaccard"]:
        return ""
    percent = _several([100 * each for each in about["chance_jaccard"]])
    return f" By chance, the truth of the next frame paired so, the index is {percent} %."


def _circumstances(about: dict[str, Any]) -> list[str]:
    """State facts of the classical methods, and methods timed elsewhere or left out."""
    facts = about["facts"]
    known = [f"{facts[name]:g} {unit} ({about['facts_from'][name]})" for name, unit in _FACTS]
    parts = [
        f"The classical methods know: {', '.join(known)}, {about['facts_from']['excess_noise']}."
    ]
    elsewhere = [
        f"{method} on {sitting['machine']}"
        for method, sitting in about["sittings"].items()
        if sitting["machine"] != about["machine"]
    ]
    if elsewhere:
        parts.append(f"Timed elsewhere: {', '.join(elsewhere)}.")
    if about["left_out"]:
        left_out = (f"{method} ({why})" for method, why in about["left_out"].items())
        parts.append(f"Left out: {'; '.join(left_out)}.")
    return parts


def _errors(row: Row) -> list[str]:
    molecules = row.molecules
    return [
        row.method,
        _several(row.image.nmse_percent),
        _several(row.image.nmse_fitted_percent),
        _several(row.image.psnr_db),
        _several(row.seed_nmse_percent),
        _several(row.seed_psnr_db),
        f"{row.image.sum_ratio:.3f}" if row.counts_molecules else "-",
        *(
            ["-"] * 4
            if molecules is None
            else [
                _jaccard(molecules, row.near_molecules),
                f"{100 * molecules.recall:.1f}",
                f"{100 * molecules.precision:.1f}" if molecules.found else "-",
                f"{molecules.rmse_nm:.1f}" if molecules.pairs else "-",
            ]
        ),
    ]


def _jaccard(*scores: DetectionScore | None) -> str:
    return _several([100 * each.jaccard for each in scores if each is not None])


def _merged(cells: Sequence[list[str]]) -> list[list[str]]:
    """One row for each network whose errors are the same whatever runs it."""
    merged: list[list[str]] = []
    for row in cells:
        network, _, runtime = row[0].partition("@")
        last = merged[-1] if merged else [""]
        alike = all(
            "-" in pair or pair[0] == pair[1] for pair in zip(last[1:], row[1:], strict=False)
        )
        if runtime and last[0].partition("@")[0] == network and alike:
            numbers = [b if a == "-" else a for a, b in zip(last[1:], row[1:], strict=True)]
            merged[-1] = [f"{last[0]}, @{runtime}", *numbers]
        else:
            merged.append(row)
    return merged


def _speed(row: Row) -> list[str]:
    published = published_beside(row.method)
    return [
        row.method,
        f"{row.ms_per_frame:.2f}",
        f"{row.fastest_ms:.2f} to {row.slowest_ms:.2f}",
        str(row.passes),
        "-" if row.times_peer is None else f"{row.times_peer:.3g}",
        "image" if row.molecules is None else "image, molecules",
        "-" if published is None else f"{published.ms_per_frame:g}",
    ]


def _refinements(table: Sequence[Row]) -> list[str]:
    """Say what the client's times include, and what it says of its refinement."""
    by_client = [row for row in table if row.method not in CLASSICAL_NAMES]
    by_client = [row for row in by_client if NetworkMethod.of(row.method).by_client]
    if not by_client:
        return []
    remarks = "".join(f" {row.method}: {row.remark}." for row in by_client if row.remark)
    return [
        f"{_listed([row.method for row in by_client])} are the client's whole path: a TIFF file "
        "written and read, survey, levels, all requests, and refinement where named, as with "
        f"'recon-client submit --refine {REFINE_AUTO}'; all of it is in their time.{remarks}"
    ]


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _published(row: PublishedRow) -> list[str]:
    return [
        row.name,
        f"{row.nmse_percent:.2f}",
        f"{row.psnr_db:.2f}",
        f"{row.ms_per_frame:g}",
        ", ".join(row.beside),
    ]


def _several(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def table_csv(table: Sequence[Row]) -> str:
    """One row a method, one column a number, the published ones at the end."""
    text = io.StringIO()
    flat = [_flat(row) for row in table]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def table_json(table: Sequence[Row], about: dict[str, Any]) -> str:
    """All that is known; what is infinite or no number is null."""
    content = {**about, "rows": [_finite(row.as_dict()) for row in table]}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _flat(row: Row) -> dict[str, Any]:
    content = row.as_dict()
    series = {**content.pop("image"), "seed_nmse_percent": content.pop("seed_nmse_percent")}
    series["seed_psnr_db"] = content.pop("seed_psnr_db")
    flat = {"method": content["method"]}
    for name, values in series.items():
        if not isinstance(values, (tuple, list)):
            flat[name] = values
            continue
        for blur_px, value in zip(BLURS_PX, values, strict=True):
            flat[f"{name}_blur_{blur_px:g}"] = value
    names = (
        "jaccard",
        "near_jaccard",
        "recall",
        "precision",
        "rmse_nm",
        "ms_per_frame",
        "fastest_ms",
        "slowest_ms",
        "passes",
        "times_peer",
    )
    flat |= {name: content[name] for name in names}
    published = content["published"] or {}
    for name in ("nmse_percent", "psnr_db", "ms_per_frame"):
        flat[f"published_{name}"] = published.get(name)
    return {name: _finite(value) for name, value in flat.items()}


def _finite(value: Any) -> Any:
    """The same, with null for what JSON has no number for, and lists for tuples."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
