"""Networks of one layer with their cards, as an export would leave them.

The graphs begin at ``NORMALIZED``; the normalisation is put before them and the number of the
request beside them, as by an export.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import onnx.parser

from smlm_pipeline import contract
from smlm_training.delivery.card import SCORES
from smlm_training.delivery.normalizing_graph import with_normalization
from smlm_training.delivery.request_graph import with_request

DETECTIONS = """
(float[N,1,H,W] NORMALIZED) => (float[N,7,H,W] DETECTIONS)
<float[7,1,1,1] weights = {1, 2, 3, 4, 5, 6, 7}>
{ DETECTIONS = Conv(NORMALIZED, weights) }
"""

MAP = """
(float[N,1,H,W] NORMALIZED) => (float[N,1,A,B] MAP)
<float[1,1,1,1] weights = {1}, float[4] scales = {1, 1, 8, 8}>
{ sum = Conv(NORMALIZED, weights) MAP = Resize<mode = "nearest">(sum, , scales) }
"""


CLASS_BORDERS_PX = {"2": [0.12], "3": [0.1, 0.15], "4": [0.09, 0.12, 0.18]}


def parsed(graph: str) -> onnx.ModelProto:
    """A network from the text of its graph; one that reads ``NORMALIZED`` alone is completed."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {graph}')
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{index}"
    if [tensor.name for tensor in model.graph.input] == [contract.NORMALIZED.name]:
        return with_request(with_normalization(model))
    return model


def write_network(folder: Path, graph: str = DETECTIONS, **card: Any) -> Path:
    """A network of one layer, and by default its card."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.onnx"
    onnx.save(parsed(graph), file)
    write_card(file, **card)
    return file


def write_card(file: Path, **different: Any) -> None:
    card = {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "contract_version": contract.CONTRACT_VERSION,
        contract.CLASS_BORDERS_PARAMETER: CLASS_BORDERS_PX,
        SCORES: {"film": {"nmse_percent_at_blur_0_1_2_px": [25.04, 5, 1.5], "jaccard": 0.75}},
        **different,
    }
    file.with_name("model.json").write_text(json.dumps(card))
