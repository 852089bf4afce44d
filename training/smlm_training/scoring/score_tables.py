"""Write scores as tables of 80 columns, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from smlm_training.scoring.detection_report import DetectionReport
from smlm_training.scoring.evaluate import BLURS_PX, WIDEFIELD, Score

_MEASURES = {
    "nmse_percent": "NMSE, equal sum (%)",
    "nmse_fitted_percent": "NMSE, least squares (%)",
    "psnr_db": "PSNR, equal sum (dB)",
}


def image_table(scores: Mapping[str, Score]) -> Table:
    """One row for each measure and blur, one column for each image."""
    table = _table("image against truth", "measure", "blur (SR px)", *scores)
    for name, title in _MEASURES.items():
        for index, blur_px in enumerate(BLURS_PX):
            values = (getattr(score, name)[index] for score in scores.values())
            table.add_row(
                "" if index else title, f"{blur_px:g}", *(f"{value:.1f}" for value in values)
            )
    ratios = (
        f"{score.sum_ratio:.1%}" if name != WIDEFIELD else "-" for name, score in scores.items()
    )
    table.add_row("sum / true emitters", "", *ratios)
    return table


def detection_tables(report: DetectionReport) -> Iterator[Table]:
    """Scores, sigmas against errors and probabilities against frequencies."""
    yield _score_table(report)
    table = _table(
        "predicted sigmas against errors of the pairs, y and x",
        *("RMS sigma (nm)", "RMS error (nm)", "error / sigma", "errors"),
    )
    for sigma in report.sigma.bins:
        ratio = sigma.error_nm / sigma.sigma_nm
        numbers = (f"{sigma.sigma_nm:.1f}", f"{sigma.error_nm:.1f}", f"{ratio:.2f}")
        table.add_row(*numbers, f"{sigma.errors:,}")
    yield table
    table = _table(
        "probabilities against the share of localisations that are true",
        *("probability", "share", "found"),
    )
    for part in report.probability.bins:
        table.add_row(f"{part.probability:.2f}", f"{part.frequency:.2f}", f"{part.found:,}")
    yield table


def _score_table(report: DetectionReport) -> Table:
    judging, score, sigma = report.judging, report.score, report.sigma
    border = f", {judging.border_nm:g} nm of border left out" if judging.border_nm else ""
    table = _table(
        f"localisations from probability {judging.threshold:g} on, pairs within "
        f"{judging.tolerance_nm:g} nm{border}",
        *("measure", "value"),
    )
    table.add_row("found / true / pairs", f"{score.found:,} / {score.true:,} / {score.pairs:,}")
    table.add_row("Jaccard", f"{score.jaccard:.1%}")
    table.add_row("precision / recall", f"{score.precision:.1%} / {score.recall:.1%}")
    table.add_row("F1", f"{score.f1:.1%}")
    table.add_row("RMSE of the pairs", f"{score.rmse_nm:.1f} nm")
    table.add_row("challenge's efficiency", f"{score.efficiency_percent:.1f} %")
    table.add_row("error / sigma, RMS (calibrated: 1)", f"{sigma.z_rms:.2f}")
    table.add_row("RMS error / RMS sigma", f"{sigma.ratio:.2f}")
    within = f"{sigma.within_1_sigma_percent:.1f} / {sigma.within_2_sigma_percent:.1f} %"
    table.add_row("within 1 / 2 sigma (normal: 68.3 / 95.4 %)", within)
    expected_error = f"{report.probability.expected_error:.3f}"
    table.add_row("|share - probability|, mean (calibrated: 0)", expected_error)
    return table


def gridding_line(report: DetectionReport) -> str:
    """One line on the distribution of positions within a camera pixel, with its condition."""
    within = report.within_pixel
    return (
        f"positions within a camera pixel: flat to {within.deviation_percent:.1f} % (chance alone: "
        f"{within.chance_percent:.1f} % a bin; only for samples that are uniform themselves)"
    )


def _table(title: str, *columns: str) -> Table:
    first, *others = columns
    table = Table(first, title=title, title_justify="left", title_style="bold", box=None)
    table.min_width = min(len(title) + 1, 80)  # keeps the title on one line
    for column in others:
        table.add_column(column, justify="right")
    return table


def score_facts(scores: Mapping[str, Score], report: DetectionReport | None) -> dict[str, Any]:
    """One object for each image, and ``detections``, for JSON: what is not finite is None."""
    content: dict[str, Any] = {name: _image(name, score) for name, score in scores.items()}
    content["detections"] = None if report is None else _detections(report)
    facts: dict[str, Any] = _finite(content)
    return facts


def scores_csv(scores: Mapping[str, Score], report: DetectionReport | None) -> str:
    """One row for each number: its subject, the measure, the blur in SR pixels, the value."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["of", "measure", "blur_px", "value"])
    rows.writerows(_rows(scores, report))
    return text.getvalue()


def _rows(scores: Mapping[str, Score], report: DetectionReport | None) -> Iterator[list[object]]:
    for name, score in scores.items():
        for measure, values in _image(name, score).items():
            if isinstance(values, tuple):
                for blur_px, value in zip(BLURS_PX, values, strict=True):
                    yield [name, measure, blur_px, _finite(value)]
            else:
                yield [name, measure, None, _finite(values)]
    for measure, value in ({} if report is None else _detections(report)).items():
        if not isinstance(value, dict):
            yield ["detections", measure, None, _finite(value)]


def _image(name: str, score: Score) -> dict[str, Any]:
    """Scores of an image; the sum of a wide field is in another unit and left out."""
    numbers = asdict(score)
    return {**numbers, "sum_ratio": None} if name == WIDEFIELD else numbers


def _detections(report: DetectionReport) -> dict[str, Any]:
    score = report.score
    return {
        **asdict(report.judging),
        **asdict(score),
        "jaccard": score.jaccard,
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "efficiency_percent": score.efficiency_percent,
        "sigma": asdict(report.sigma),
        "probability": asdict(report.probability),
        "within_pixel": asdict(report.within_pixel),
    }


def _finite(value: Any) -> Any:
    """The value with None for infinity and NaN, which JSON lacks, and lists for arrays."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
