"""``recon-bench drift`` makes the tables of the pages on drift and resolution, by one command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.places import ROOT
from smlm_bench.drift import command
from smlm_bench.drift.films import KINDS, SAMPLES
from smlm_bench.drift.measure import Residual
from smlm_bench.drift.rings import KnownRing

_RESIDUAL = Residual(
    sample="sparse lines",
    kind="steps",
    molecules=4000,
    per_frame=5.2,
    corrected=True,
    drift_nm=81.6,
    correlation_nm=85.9,
    residual_nm=5.62,
    error_nm=3.9,
    nmse_before_percent=99.0,
    nmse_after_percent=20.7,
    ring_correlation_nm=None,
    estimate_s=2.0,
    run_s=30.0,
    facts={},
)
FOUND = [
    replace(_RESIDUAL, sample=sample.name, kind=kind, corrected=kind != "none")
    for sample in SAMPLES
    for kind in KINDS
]
RING = KnownRing(
    sigma_nm=10,
    localisations=3,
    expected_nm=38.5,
    found_nm=37.2,
    quartiles_nm=(36.0, 38.0, 40.0),
    decorrelation_nm=None,
)


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def _tables(page: str) -> list[list[list[str]]]:
    """The tables of a page, as rows of cells."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    return [_rows(block) for block in blocks]


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("drift.md", command.residuals_table(FOUND)),
        ("drift.md", command.errors_table(FOUND)),
        ("resolution.md", command.rings_table([RING])),
    ],
)
def test_tables_of_the_pages(page: str, table: str) -> None:
    made = _rows(table)
    (stated,) = [each for each in _tables(page) if each[0] == made[0]]
    names = {row[0] for row in made[2:]}
    assert {row[0] for row in stated[2:]} <= names | {"20", "40"}
    assert {len(row) for row in made} == {len(made[0])}


def test_each_film_of_the_command_has_its_cell() -> None:
    made = _rows(command.residuals_table(FOUND))
    assert made[0] == ["sample", "molecules a frame", "linear", "steps", "wander", "none"]
    assert [row[0] for row in made[2:]] == [sample.name for sample in SAMPLES]
    assert made[2][1:] == ["5", "5.6", "5.6", "5.6", "not corrected"]
    assert len(_rows(command.errors_table(FOUND))) == 2 + len(FOUND)
    assert _rows(command.times_table(FOUND))[2][2:] == ["-", "2.0", "30.0"]


def test_a_row_of_the_page_is_made_of_its_numbers() -> None:
    made = _rows(command.errors_table([_RESIDUAL]))[2]
    (stated,) = [each for each in _tables("drift.md") if each[0][1] == "drift"]
    assert made in stated
    assert _rows(command.rings_table([RING]))[2] in _tables("resolution.md")[-1]
