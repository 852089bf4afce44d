"""Networks of one layer with their cards, as an export would leave them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import onnx.parser

from smlm_pipeline import contract
from smlm_training.delivery.card import SCORES

DETECTIONS = """
(float[N,1,H,W] NORMALIZED) => (float[N,5,H,W] DETECTIONS)
<float[5,1,1,1] weights = {1, 2, 3, 4, 5}>
{ DETECTIONS = Conv(NORMALIZED, weights) }
"""

MAP = """
(float[N,1,H,W] NORMALIZED) => (float[N,1,A,B] MAP)
<float[1,1,1,1] weights = {1}, float[4] scales = {1, 1, 8, 8}>
{ sum = Conv(NORMALIZED, weights) MAP = Resize<mode = "nearest">(sum, , scales) }
"""


def write_network(folder: Path, graph: str = DETECTIONS, **card: Any) -> Path:
    """A network of one layer, and by default its card."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {graph}')
    file = folder / "model.onnx"
    onnx.save(model, file)
    write_card(file, **card)
    return file


def write_card(file: Path, **different: Any) -> None:
    card = {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "contract_version": contract.CONTRACT_VERSION,
        SCORES: {"film": {"nmse_percent_at_blur_0_1_2_px": [25.04, 5, 1.5], "jaccard": 0.75}},
        **different,
    }
    file.with_name("model.json").write_text(json.dumps(card))
