"""The table as CSV for spreadsheets and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from smlm_training.comparison.table.scores import Row
from smlm_training.scoring.evaluate import BLURS_PX


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
