"""``recon-bench drift``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_console, bench_door, grid, note
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used

with imported_when_used():
    from smlm_bench.drift import films, measure, rings
    from smlm_pipeline.engines.opening import open_engine
    from smlm_pipeline.settings import Settings

_HEADS = (
    "sample",
    "molecules a frame",
    "drift",
    "RMS, nm",
    "correlation alone, nm",
    "residual, nm",
    "stated error, nm",
    "NMSE before, %",
    "after, %",
    "resolution, nm",
    "drift, s",
    "run, s",
)

_RING_HEADS = (
    "sigma, nm",
    "localisations of a molecule in a half",
    "expected, nm",
    "ring correlation, nm",
    "tiles, quartiles, nm",
    "decorrelation, nm",
)


def drift(
    model: Annotated[
        str, typer.Option(help="Model whose network is used.")
    ] = contract.RECONSTRUCTION.name,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")] = Path(
        "bench/drift"
    ),
) -> None:
    """Take known drifts out of films, and measure known resolutions."""
    with bench_door():
        output.mkdir(parents=True, exist_ok=True)
        known = rings.measured_rings()
        found: list[measure.Residual] = []
        with open_engine("local", model, timeout_s=Settings.timeout_s) as engine:
            for sample in films.SAMPLES:
                for kind in films.KINDS:
                    film = films.drifting_film(sample, kind)
                    found.append(measure.residual(sample.name, kind, film, engine))
                    last = found[-1]
                    note(f"{sample.name}, {kind}: {last.residual_nm:.1f} nm are left")
        table = f"{_as_markdown(found)}\n{_rings_as_markdown(known)}"
        facts = {
            "drift": [asdict(each) for each in found],
            "rings": [asdict(each) for each in known],
        }
        (output / "drift.json").write_text(json.dumps(facts, indent=1) + "\n")
        (output / "drift.md").write_text(table)
        bench_console().print(table, markup=False, soft_wrap=True)
        typer.echo(f"{output / 'drift'}.json and .md are written")


def _as_markdown(found: Sequence[measure.Residual]) -> str:
    """A row a film."""
    rows = [
        [
            each.sample,
            f"{each.per_frame:.0f}",
            each.kind,
            f"{each.drift_nm:.1f}",
            f"{each.correlation_nm:.1f}",
            f"{each.residual_nm:.1f}" if each.corrected else "not corrected",
            f"{each.error_nm:.1f}",
            f"{each.nmse_before_percent:.1f}",
            f"{each.nmse_after_percent:.1f}",
            "-" if each.ring_correlation_nm is None else f"{each.ring_correlation_nm:.0f}",
            f"{each.estimate_s:.1f}",
            f"{each.run_s:.1f}",
        ]
        for each in found
    ]
    return grid(_HEADS, rows) + "\n"


def _rings_as_markdown(known: Sequence[rings.KnownRing]) -> str:
    """A row an image of known resolution."""
    rows = [
        [
            f"{each.sigma_nm:g}",
            f"{each.localisations:g}",
            f"{each.expected_nm:.1f}",
            f"{each.found_nm:.1f}",
            " / ".join(f"{quartile:.0f}" for quartile in each.quartiles_nm),
            "-" if each.decorrelation_nm is None else f"{each.decorrelation_nm:.0f}",
        ]
        for each in known
    ]
    return grid(_RING_HEADS, rows) + "\n"
