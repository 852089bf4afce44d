"""``recon-bench channels``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from smlm_bench.console import Folder, ModelName, bench_console, bench_door, grid, note
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used

with imported_when_used():
    from smlm_bench.channels import drifting, measure
    from smlm_pipeline.engines.opening import open_engine
    from smlm_pipeline.settings import Settings

_HEADS = (
    "both channels show",
    "split",
    "turned, scaled",
    "registered by",
    "before, nm",
    "residual, nm",
    "at most, nm",
    "stated error, nm",
)

_DRIFT_HEADS = (
    *("channels show", "split", "drift", "RMS, nm"),
    *("left by both, nm", "by the first alone, nm", "by the second alone, nm"),
    "stated error, nm",
)


def channels(
    model: ModelName = contract.RECONSTRUCTION.name,
    output: Folder = Path("bench/channels"),
) -> None:
    """Register the channels of films whose displacement is known.

    A second table states what is left of a known drift that two channels share.
    """
    with bench_door():
        output.mkdir(parents=True, exist_ok=True)
        found: list[measure.Registered] = []
        with open_engine("local", model, timeout_s=Settings.timeout_s) as engine:
            for case in measure.CASES:
                found.append(measure.registered(case, engine, model))
                last = found[-1]
                left = "-" if last.residual_nm is None else f"{last.residual_nm:.1f}"
                note(f"{last.sample}, {last.split}: {last.method}, {left} nm are left")
            drifts: list[drifting.SharedDrift] = []
            for sample, split, kind in drifting.CASES:
                drifts.append(drifting.shared_drift(sample, split, kind, engine, model))
                left = _number(drifts[-1].both_nm)
                note(f"{sample.name}, {split}, {kind}: {left} nm of drift are left")
        table = f"{_as_markdown(found)}\n{_drifts_as_markdown(drifts)}"
        facts = {
            "registration": [asdict(each) for each in found],
            "drift": [asdict(each) for each in drifts],
        }
        (output / "channels.json").write_text(json.dumps(facts, indent=1) + "\n")
        (output / "channels.md").write_text(table)
        bench_console().print(table, markup=False, soft_wrap=True)
        typer.echo(f"{output / 'channels'}.json and .md are written")


def _as_markdown(found: Sequence[measure.Registered]) -> str:
    """A row a film."""
    rows = [
        [
            each.sample,
            each.split,
            f"{each.turned_deg:g} degree, {each.scaled_percent:g} %" if each.turned_deg else "no",
            each.method + (", with a warning" if each.warned else ""),
            f"{each.before_nm:.0f}",
            _number(each.residual_nm),
            _number(each.worst_nm),
            _number(each.error_nm if each.residual_nm is not None else None),
        ]
        for each in found
    ]
    return grid(_HEADS, rows) + "\n"


def _drifts_as_markdown(drifts: Sequence[drifting.SharedDrift]) -> str:
    """A row a film."""
    rows = [
        [
            each.sample,
            each.split,
            each.kind,
            f"{each.drift_nm:.0f}",
            *(_number(left) for left in (each.both_nm, each.first_nm, each.second_nm)),
            _number(each.error_nm),
        ]
        for each in drifts
    ]
    return grid(_DRIFT_HEADS, rows) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
