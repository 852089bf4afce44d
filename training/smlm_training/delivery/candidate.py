"""Checks of a network before it is published: its card and the contract."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError, SettingError

CARD_FILE = "model.json"

_PROBES = ((1, 16, 16), (3, 20, 36))
"""N, H and W of the blank frames that a network has to answer; two, since its axes are open."""

RUNTIME_ERRORS = (
    *(runtime.Fail, runtime.InvalidArgument, runtime.InvalidGraph, runtime.InvalidProtobuf),
    *(runtime.NoModel, runtime.NotImplemented, runtime.RuntimeException),
)
"""ONNX Runtime's errors have no common root."""


@dataclass(frozen=True)
class Candidate:
    """A network and its card, byte by byte, and the model that it fits."""

    network: bytes
    card_text: bytes
    card: dict[str, Any]
    spec: contract.ModelSpec


def read_candidate(network_file: Path, model: str | None) -> Candidate:
    """Read a network and its card, and check both.

    Parameters
    ----------
    network_file : Path
        The ONNX file, with ``model.json`` beside it.
    model : str, optional
        One of the contract's networks; by default the one that the card names.

    Raises
    ------
    SettingError
        If a file is missing, or the card cannot be read.
    ContractError
        If the network is not the one of its card, or does not fit the contract.
    """
    network, card_text, card = read_card(network_file)
    spec = _checked_spec(network_file, model, str(card.get("name")))
    return Candidate(network, card_text, card, spec)


def read_card(network_file: Path) -> tuple[bytes, bytes, dict[str, Any]]:
    """Read a network and its card: both byte by byte, and the card's content.

    Raises
    ------
    SettingError
        If a file is missing, or the card cannot be read.
    ContractError
        If the network is not the one of its card, or the card is of another contract.
    """
    network, card_text = _read(network_file), _read(network_file.with_name(CARD_FILE))
    return network, card_text, _checked_card(network_file, network, card_text)


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise SettingError(
            f"no {file}; expected a network of 'recon-train export' with its card {CARD_FILE} "
            "beside it, or the folder of a run"
        )
    return file.read_bytes()


def _checked_card(network_file: Path, network: bytes, card_text: bytes) -> dict[str, Any]:
    """The card, if it belongs to this network and to this contract."""
    try:
        card = json.loads(card_text)
        stated = card["sha256"], card["contract_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingError(
            f"{network_file.with_name(CARD_FILE)} is no model card ({error!r}); expected the one "
            "that 'recon-train export' writes"
        ) from error
    found = hashlib.sha256(network).hexdigest()
    if stated[0] != found:
        raise ContractError(
            f"{network_file} has sha256 {found}, and its card states {stated[0]}: they are not of "
            "one export; export the run again"
        )
    if stated[1] != contract.CONTRACT_VERSION:
        raise ContractError(
            f"{network_file} was made for contract version {stated[1]}; expected "
            f"{contract.CONTRACT_VERSION}: export the run again with this release"
        )
    checked: dict[str, Any] = card
    return checked


def _checked_spec(network_file: Path, model: str | None, named: str) -> contract.ModelSpec:
    """The given model, else the card's, else the first with such an answer, if it fits."""
    try:
        network = OnnxNetwork(network_file, intra_op_threads=1)
        for probe in _PROBES:
            network.detect(np.zeros(probe, np.uint16), np.ones((probe[0], 2), np.float32))
    except (*RUNTIME_ERRORS, ValueError) as error:
        raise ContractError(
            f"{network_file} does not answer frames of any number and size ({error}); expected a "
            "network of 'recon-train export'"
        ) from error
    fitting = contract.networks_that_answer(network.answer)
    if model is not None and model not in fitting:
        raise ContractError(
            f"{network_file} answers with {network.answer.name}, which {model} does not serve: "
            f"publish it as {' or '.join(fitting)}"
        )
    return fitting.get(model or named, next(iter(fitting.values())))
