"""The table as Markdown for people, CSV for spreadsheets and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from smlm_training.comparison.markdown import grid
from smlm_training.comparison.methods.names import PEER
from smlm_training.comparison.table.published import FILM, HARDWARE, TABLE_1, published_beside
from smlm_training.comparison.table.scores import Row
from smlm_training.scoring.evaluate import BLURS_PX

_EXACT = ("blank", "widefield")
"""Methods whose time says nothing about a reconstruction."""


def table_markdown(table: Sequence[Row], about: dict[str, Any]) -> str:
    """Three tables: errors, speed, and the seed's own; with what the columns mean."""
    parts = [
        f"{about['film']}: frames {about['frames'][0]} to {about['frames'][1] - 1} of "
        f"{about['shape_px'][0]} x {about['shape_px'][1]} pixels, {about['molecules']:,} "
        f"molecules; {about['machine']}.",
        "Errors. NMSE, PSNR and least squares with floor bins, at a blur of 0 / 1 / 2 fine pixels "
        f"of {about['fine_nm']:g} nm; equal sums unless least squares is said. In the seed's "
        "formulas each image is divided by its maximum, a convention of ours, as the seed states "
        "none. Jaccard and RMSE pair within 250 nm, frame by frame.",
        grid(_ERRORS, [_errors(row) for row in table]),
        "Speed: the method alone, on frames in memory; the median of all passes over the film, and "
        f"their range. Times {PEER} is its median over the method's, in this run.",
        grid(_SPEED, [_speed(row) for row in table]),
        f"Published by the seed, on other hardware ({HARDWARE}; {FILM}); how its images were "
        "scaled and blurred is not stated, so its errors compare among themselves only.",
        grid(_PUBLISHED, [_published(row) for row in TABLE_1]),
    ]
    return "\n\n".join(parts) + "\n"


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
    told = {**about, "rows": [_finite(row.as_dict()) for row in table]}
    return json.dumps(told, indent=2, allow_nan=False) + "\n"


_ERRORS = (
    *("method", "NMSE %", "least squares %", "PSNR dB", "seed's NMSE %", "seed's PSNR dB"),
    *("sum / true", "Jaccard %", "RMSE nm"),
)
_SPEED = ("method", "ms a frame", "fastest to slowest", "passes", f"times {PEER}", "published ms")
_PUBLISHED = ("published by the seed", "NMSE %", "PSNR dB", "ms a frame", "stands beside")


def _errors(row: Row) -> list[str]:
    found = row.molecules
    counted = row.molecules is not None or "@" in row.method
    return [
        row.method,
        _several(row.image.nmse_percent),
        _several(row.image.nmse_fitted_percent),
        _several(row.image.psnr_db),
        _several(row.seed_nmse_percent),
        _several(row.seed_psnr_db),
        f"{row.image.sum_ratio:.3f}" if counted and row.method not in _IN_PHOTONS else "-",
        "-" if found is None else f"{100 * found.jaccard:.1f}",
        "-" if found is None else f"{found.rmse_nm:.1f}",
    ]


_IN_PHOTONS = ("cel0", "falcon")
"""Their pictures' sums are photons, not molecules."""


def _speed(row: Row) -> list[str]:
    timed = row.method not in _EXACT
    published = published_beside(row.method)
    return [
        row.method,
        f"{row.ms_per_frame:.2f}" if timed else "-",
        f"{row.fastest_ms:.2f} to {row.slowest_ms:.2f}" if timed else "-",
        str(row.passes) if timed else "-",
        f"{row.times_peer:.3g}" if timed and row.times_peer is not None else "-",
        "-" if published is None else f"{published.ms_per_frame:g}",
    ]


def _published(row: Any) -> list[str]:
    return [
        row.name,
        f"{row.nmse_percent:.2f}",
        f"{row.psnr_db:.2f}",
        f"{row.ms_per_frame:g}",
        ", ".join(row.beside),
    ]


def _several(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _flat(row: Row) -> dict[str, Any]:
    told = row.as_dict()
    series = {**told.pop("image"), "seed_nmse_percent": told.pop("seed_nmse_percent")}
    series["seed_psnr_db"] = told.pop("seed_psnr_db")
    flat = {"method": told["method"]}
    for name, values in series.items():
        if not isinstance(values, (tuple, list)):
            flat[name] = values
            continue
        for blur_px, value in zip(BLURS_PX, values, strict=True):
            flat[f"{name}_blur_{blur_px:g}"] = value
    names = (
        "jaccard",
        "rmse_nm",
        "ms_per_frame",
        "fastest_ms",
        "slowest_ms",
        "passes",
        "times_peer",
    )
    flat |= {name: told[name] for name in names}
    published = told["published"] or {}
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
