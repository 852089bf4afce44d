"""The last sections of a report's page: files, hashes, settings, versions and timings."""

from __future__ import annotations

import json
from pathlib import Path

from smlm_pipeline.page.markup import Numbers, table

_EMPTY: tuple[object, ...] = (None, "", [], {})

_PARTS = {
    ("molecules", "file"): "molecules",
    ("drift", "uncorrected_image"): "image with its drift",
    ("error_map", "map"): "error map",
    ("error_map", "wide_field"): "wide field",
}
"""Files beside the image whose names say less than these words."""


_SELECTED = {
    "frames": "frames taken, first:end",
    "roi_px": "region taken: x, y, width, height in camera pixels",
}
"""Parts of a film, in words."""


def provenance(numbers: Numbers) -> str:
    """Files, hashes, settings, versions and timings, as tables."""
    facts = numbers["report"]
    names = ("image", "sum_image", "picture")
    files = {name.replace("_", " "): Path(facts[name]).name for name in names if facts[name]}
    parts = [
        ("Film", _film(facts)),
        ("Files", {**files, **_files_beside(facts)}),
        ("Settings", {**_of_table(facts), **_values(facts["settings"])}),
        ("Network and versions", _versions(facts)),
        ("Timings", _timings(facts)),
    ]
    return "".join(f"<h2>{title}</h2>{table(rows)}" for title, rows in parts)


def _values(facts: Numbers) -> dict[str, str]:
    return {name: _value(value) for name, value in facts.items()}


def _of_table(facts: Numbers) -> dict[str, str]:
    """What the molecules' photons and their number depend on."""
    asked = ("gain_adu_per_photon", "offset_adu", "probability_min")
    stated = facts["molecules"] or {}
    estimate = stated.get("camera_estimate") or {}
    return {
        **_values({name: stated[name] for name in asked if stated.get(name) is not None}),
        **{f"camera estimate: {name}": _value(value) for name, value in estimate.items()},
    }


def _film(facts: Numbers) -> dict[str, str]:
    selection = {
        name: ":".join(map(str, value)) if name == "frames" else _value(value)
        for name, value in facts["selection"].items()
        if value not in _EMPTY
    }
    levels = f"background {facts['background_adu']:,.1f}, scale {facts['scale_adu']:,.1f} ADU"
    if facts["scale_error"] is not None:
        levels += f" (+-{100 * facts['scale_error']:.0f} %)"
    stated = {
        "file": facts["film"],
        "filmed": facts["acquired"],
        "channel": facts["channel"],
        "SHA-256 of size and sampled frames": facts["film_sha256"],
        "usual levels": levels,
        "spread of molecules' brightness": _value(facts["brightness_spread"] or ""),
        **{_SELECTED.get(n, f"chosen {n.replace('_', ' ')}"): v for n, v in selection.items()},
        "missing": f"{len(facts['missing'])} parts" if facts["missing"] else "",
    }
    return {name: value for name, value in stated.items() if value}


def _files_beside(facts: Numbers) -> dict[str, str]:
    beside = {}
    for part in ("molecules", "drift", "resolution", "error_map"):
        for name in ("file", "uncorrected_image", "table", "curve", "map", "wide_field"):
            value = (facts[part] or {}).get(name)
            if value:
                beside[_PARTS.get((part, name), f"{part} {name}")] = Path(value).name
    return beside


def _versions(facts: Numbers) -> dict[str, str]:
    stated = {
        "model": f"{facts['model']}, version {facts['model_version']}",
        "SHA-256 of the network": facts["network_sha256"] or "not stated by the server",
        "engine": facts["engine"],
        "network engine": facts["network_engine"],
        "precision": facts["precision"],
        "processor": facts["processor"],
        "software": f"{facts['software']}, contract {facts['contract_version']}",
        **facts["versions"],
    }
    return {name: str(value) for name, value in stated.items() if value}


def _timings(facts: Numbers) -> dict[str, str]:
    stages = {name: f"{passed_s:.2f} s" for name, passed_s in facts["timings_s"].items()}
    return {**stages, "speed, film to sum": f"{facts['frames_per_s']:,.0f} frames/s"}


def _value(value: object) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)
