"""``recon-bench drift``."""

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
    from smlm_bench.drift import films, measure, rings
    from smlm_pipeline.engines.opening import open_engine
    from smlm_pipeline.settings import Settings

_RING_HEADS = (
    "sigma, nm",
    "n",
    "expected, nm",
    "ring correlation, nm",
    "tiles, quartiles, nm",
    "decorrelation, nm",
)


def drift(
    model: ModelName = contract.RECONSTRUCTION.name,
    output: Folder = Path("bench/drift"),
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
                    table = _write(output, found, known)  # each, since all take half an hour
        bench_console().print(table, markup=False, soft_wrap=True)
        typer.echo(f"{output / 'drift'}.json and .md are written")


def _write(
    output: Path, found: Sequence[measure.Residual], known: Sequence[rings.KnownRing]
) -> str:
    """Write what is measured so far, and return its tables."""
    facts = {
        "drift": [asdict(each) for each in found],
        "rings": [asdict(each) for each in known],
    }
    tables = residuals_table(found), errors_table(found), times_table(found), rings_table(known)
    text = "\n".join(tables)
    (output / "drift.json").write_text(json.dumps(facts, indent=1) + "\n")
    (output / "drift.md").write_text(text)
    return text


def residuals_table(found: Sequence[measure.Residual]) -> str:
    """A row a sample, with the residual of each kind of drift; the first table of docs/drift.md."""
    samples = {each.sample: each for each in found}
    kinds = sorted({each.kind for each in found}, key=lambda kind: (kind == "none", kind))
    by_film = {(each.sample, each.kind): _left(each) for each in found}
    rows = [
        [name, f"{each.per_frame:.0f}", *(by_film.get((name, kind), "") for kind in kinds)]
        for name, each in samples.items()
    ]
    return grid(("sample", "molecules a frame", *kinds), rows) + "\n"


def errors_table(found: Sequence[measure.Residual]) -> str:
    """A row a film, with errors; the second table of docs/drift.md."""
    heads = (
        *("sample", "drift", "RMS, nm", "correlation alone, nm", "residual, nm"),
        *("stated error, nm", "NMSE before, %", "after, %"),
    )
    rows = [
        [
            each.sample,
            each.kind,
            f"{each.drift_nm:.1f}",
            f"{each.correlation_nm:.1f}",
            _left(each),
            f"{each.error_nm:.1f}",
            f"{each.nmse_before_percent:.1f}",
            f"{each.nmse_after_percent:.1f}",
        ]
        for each in found
    ]
    return grid(heads, rows) + "\n"


def times_table(found: Sequence[measure.Residual]) -> str:
    """A row a film, with its resolution and the times that drift and the whole run took."""
    rows = [
        [
            each.sample,
            each.kind,
            "-" if each.ring_correlation_nm is None else f"{each.ring_correlation_nm:.0f}",
            f"{each.estimate_s:.1f}",
            f"{each.run_s:.1f}",
        ]
        for each in found
    ]
    return grid(("sample", "drift", "resolution, nm", "drift, s", "run, s"), rows) + "\n"


def _left(each: measure.Residual) -> str:
    return f"{each.residual_nm:.1f}" if each.corrected else "not corrected"


def rings_table(known: Sequence[rings.KnownRing]) -> str:
    """A row an image of known resolution; the table of docs/resolution.md."""
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
