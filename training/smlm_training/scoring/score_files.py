"""Scores as data: JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from smlm_training.scoring.detection_report import DetectionReport
from smlm_training.scoring.evaluate import BLURS_PX, WIDEFIELD, Score


def scores_json(scores: Mapping[str, Score], report: DetectionReport | None) -> str:
    """An object by image, and ``detections``; what is infinite or no number is null."""
    told: dict[str, Any] = {name: _image(name, each) for name, each in scores.items()}
    told["detections"] = None if report is None else _detections(report)
    return json.dumps(_finite(told), indent=2, allow_nan=False)


def scores_csv(scores: Mapping[str, Score], report: DetectionReport | None) -> str:
    """A row for each number: of what, measure, blur in fine pixels, value."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["of", "measure", "blur_px", "value"])
    rows.writerows(_rows(scores, report))
    return text.getvalue()


def _rows(scores: Mapping[str, Score], report: DetectionReport | None) -> Iterator[list[object]]:
    for name, each in scores.items():
        for measure, values in _image(name, each).items():
            if isinstance(values, tuple):
                for blur_px, value in zip(BLURS_PX, values, strict=True):
                    yield [name, measure, blur_px, _finite(value)]
            else:
                yield [name, measure, None, _finite(values)]
    for measure, value in ({} if report is None else _detections(report)).items():
        if not isinstance(value, dict):
            yield ["detections", measure, None, _finite(value)]


def _image(name: str, score: Score) -> dict[str, Any]:
    """Scores of an image; the sum of a wide field is in another unit and tells nothing."""
    told = asdict(score)
    return {**told, "sum_ratio": None} if name == WIDEFIELD else told


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
    """The same, with null for numbers that JSON does not have and lists for arrays."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
