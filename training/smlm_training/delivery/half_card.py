"""An FP16 network with its card: published only with its scores beside those of the FP32 one."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

import smlm_pipeline
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError, SettingError
from smlm_training.delivery.candidate import read_candidate
from smlm_training.delivery.card import SCORES, held_out_scores
from smlm_training.delivery.half_precision import halved
from smlm_training.delivery.reference import make_reference

NMSE = "nmse_percent_at_blur_0_1_2_px"

GROWTH_MAX_PERCENT = 2.0
"""Largest relative growth of any NMSE that is accepted. The network that ships grows by 0.1."""

_LEAST_NMSE_PERCENT = 0.05
"""Growth is relative to at least this, so that the rounding of scores is no growth."""


@dataclass(frozen=True)
class Halved:
    """An FP16 network: its file, its card, and the card of the FP32 network."""

    path: Path
    size_bytes: int
    card: Mapping[str, Any]
    card_before: Mapping[str, Any]


def halve_network(network_file: Path, output: Path) -> Halved:
    """Write the FP16 variant of an exported network, with card and reference beside it.

    Parameters
    ----------
    network_file : Path
        An exported network in FP32, with its card beside it.
    output : Path
        The ONNX file to write; it, its card and its reference are replaced when complete.

    Raises
    ------
    SettingError
        If the network or its card is missing, or ``output`` is the network itself.
    ContractError
        If the card states no scores to compare with, FP16 cannot hold the network, or
        its image is worse by more than ``GROWTH_MAX_PERCENT``.
    """
    if output.resolve() == network_file.resolve():
        raise SettingError(
            f"{output} is the network itself, which is kept; name another file with --output"
        )
    candidate = read_candidate(network_file, None)
    before = candidate.card
    if not _nmse(before):
        raise ContractError(
            f"the card of {network_file} states no NMSE to compare the FP16 network with; export "
            "the run again"
        )
    card = _write(candidate.network, before, output)
    return Halved(output, output.stat().st_size, card, before)


def _write(network: bytes, before: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Write network, card and reference, all or none; the card."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".halving-") as folder:
        staged = Path(folder) / output.name
        onnx.save(halved(onnx.load_from_string(network)), staged)
        card = _card(before, staged)
        _check_growth(before, card)
        card_file = staged.with_name("model.json")
        card_file.write_text(json.dumps(card, indent=2) + "\n")
        beside = [card_file, make_reference(staged)]
        staged.replace(output)
        for file in beside:
            file.replace(output.with_name(file.name))
    return card


def check_stated(card: Mapping[str, Any]) -> None:
    """Refuse an FP16 network's card that does not state its NMSE beside the FP32 one's.

    Raises
    ------
    ContractError
        If either is missing.
    """
    if not (_nmse(card) and _nmse(card.get("fp32", {}))):
        raise ContractError(
            "the network computes in FP16, and its card does not state its NMSE beside that of "
            "the FP32 network; make it with 'recon-train halve'"
        )


def _card(before: Mapping[str, Any], network_file: Path) -> dict[str, Any]:
    """The FP32 network's card, with the measurements of the FP16 network in their place."""
    moved = ("sha256", "note", SCORES, "robustness", "onnx_against_keras_max_difference")
    kept = {name: value for name, value in before.items() if name not in moved}
    return {
        **kept,
        "precision": "fp16",
        "sha256": hashlib.sha256(network_file.read_bytes()).hexdigest(),
        "made_by": f"{before.get('made_by', 'unknown')}; recon-train halve, smlm-recon "
        f"{smlm_pipeline.__version__}",
        SCORES: held_out_scores(OnnxNetwork(network_file, intra_op_threads=0)),
        "fp32": {name: before[name] for name in moved if name in before},
    }


def _check_growth(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    found = _nmse(after)
    for film, values_before in _nmse(before).items():
        values = found.get(film, [])
        if len(values) != len(values_before):
            raise ContractError(
                f"the card states {len(values_before)} values of NMSE for the film {film}, and "
                f"this release measures {len(values)}: export the run again, so that both networks "
                "are scored on the same films"
            )
        for value, value_before in zip(values, values_before, strict=True):
            growth = 100 * (value - value_before) / max(value_before, _LEAST_NMSE_PERCENT)
            if not growth <= GROWTH_MAX_PERCENT:
                raise ContractError(
                    f"in FP16 the NMSE of {film} grows from {value_before} to {value} %; expected "
                    f"at most {GROWTH_MAX_PERCENT:g} % more: serve this network in FP32"
                )


def _nmse(card: Mapping[str, Any]) -> dict[str, list[float]]:
    """The errors that a card states, by film."""
    scores = card.get(SCORES, {})
    return {film: each[NMSE] for film, each in scores.items() if each.get(NMSE)}
