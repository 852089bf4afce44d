"""Tables of molecules for tests, in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smlm_pipeline.tables.formats import open_table, write_table
from smlm_pipeline.tables.rows import Rows, TableFacts

FULL = (
    *("frame", "x_nm", "y_nm", "spot_sigma_x_nm", "spot_sigma_y_nm", "photons"),
    *("background_photons", "uncertainty_x_nm", "uncertainty_y_nm", "probability"),
)
"""Columns of a table that states the light of its molecules."""

PLACES = ("frame", "x_nm", "y_nm", "uncertainty_x_nm", "uncertainty_y_nm", "probability")
"""Columns of the tables of ``submit`` beside the light."""

IN_ADU = (
    *PLACES[:3],
    *("intensity_adu", "background_adu"),
    *PLACES[3:5],
    *("uncertainty_intensity_adu", "probability"),
)
"""Columns of the tables of ``submit`` where no gain is known."""

IN_PHOTONS = (
    *PLACES[:3],
    *("photons", "background_photons"),
    *PLACES[3:5],
    *("uncertainty_photons", "probability"),
)
"""Columns of the tables of ``submit`` with the camera's gain and offset."""

FACTS = TableFacts(PLACES, 100.0, 64, 48, 20, {"software": "smlm-recon 1", "film": "film.tif"})


def random_rows(count: int, columns: tuple[str, ...] = PLACES, *, seed: int = 0) -> Rows:
    """Molecules in ascending frames 0 to 19 of a field of 64 x 48 pixels of 100 nm."""
    rng = np.random.default_rng(seed)
    found = {
        "frame": np.sort(rng.integers(0, 20, count)),
        "x_nm": rng.uniform(50, 6350, count),
        "y_nm": rng.uniform(50, 4750, count),
    }
    for name in columns[3:]:
        found[name] = rng.uniform(1, 30, count)
    if "probability" in columns:
        found["probability"] = rng.uniform(0.5, 1, count)
    if "spot_sigma_x_nm" in columns:
        found["spot_sigma_y_nm"] = found["spot_sigma_x_nm"].copy()
    return Rows({name: found[name] for name in columns})


def rows_at(*places: tuple[float, ...], names: tuple[str, ...] = ("frame", "x_nm", "y_nm")) -> Rows:
    """Molecules with these values, row by row."""
    values = np.array(places, np.float64).reshape(-1, len(names)).T
    columns = dict(zip(names, values, strict=True))
    for name in {"frame", "detections"} & set(names):
        columns[name] = columns[name].astype(np.int64)
    return Rows(columns)


def in_one(blocks: list[Rows]) -> Rows:
    """All rows of some blocks."""
    names = blocks[0].names
    return Rows({name: np.concatenate([block[name] for block in blocks]) for name in names})


def read_back(path: Path, pixel_size_nm: float | None = None) -> tuple[Rows, TableFacts]:
    """All rows of a file, and its facts."""
    with open_table(path, pixel_size_nm) as table:
        return in_one(list(table.blocks())), table.facts


def write(path: Path, rows: Rows, facts: TableFacts = FACTS) -> Path:
    """Write rows with the facts of the film."""
    stated = TableFacts(
        rows.names,
        facts.pixel_size_nm,
        facts.width_px,
        facts.height_px,
        facts.frame_count,
        facts.provenance,
    )
    half = len(rows) // 2
    write_table(path, [rows.take(slice(0, half)), rows.take(slice(half, None))], stated, len(rows))
    return path
