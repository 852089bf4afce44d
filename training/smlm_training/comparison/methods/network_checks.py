"""Whether a trained network is one, and the one it is called by: found out before hours of work."""

from __future__ import annotations

import functools
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from smlm_pipeline.errors import ContractError, ReconError, SettingError
from smlm_pipeline.network import Network
from smlm_training.comparison.methods import network_files
from smlm_training.delivery.candidate import CARD_FILE, RUNTIME_ERRORS
from smlm_training.networks import NETWORKS, kind_of

_CHANNELS = {"detections": 5, "map": 1}
"""Of an answer, by its kind."""


def check_network(network: str, runtime: str, source: Path) -> None:
    """Open a network as ``runtime`` will.

    Parameters
    ----------
    network : str
        What it is to be.
    runtime : str
        What is to run it.
    source : Path
        An ONNX file, or the folder of a run, as ``network_files.find_network`` tells.

    Raises
    ------
    SettingError
        If it is no network, damaged, or another than that.
    ContractError
        If it does not fit the contract.
    """
    if source.is_file():
        _check_onnx(network, source)
    if runtime == "keras" or source.is_dir():
        keras_model(network, source)


def keras_model(network: str, source: Path) -> keras.Model:
    """The network as Keras has it, loaded once.

    Raises
    ------
    SettingError
        As `check_network`.
    """
    return _loaded(network, source, network_files.fingerprint(source))


@functools.cache
def _loaded(network: str, source: Path, _sha256: str) -> keras.Model:
    try:
        model = network_files.keras_network(network, source)
    except ReconError:
        raise
    except (OSError, ValueError, TypeError, LookupError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise SettingError(
            f"{source} cannot be loaded as {network} ({reason[0]}); expected the folder of a "
            "finished 'recon-train fit', or an ONNX file with its card, of this network"
        ) from error
    if model.name in NETWORKS:
        _check_name(network, source, model.name)
    _check_answer(network, source, model.output_shape[-1])
    return model


def _check_onnx(network: str, source: Path) -> None:
    try:
        answer = Network(source, intra_op_threads=1).answer
    except ContractError as error:
        raise ContractError(f"{source}: {error}") from error
    except (*RUNTIME_ERRORS, LookupError, TypeError) as error:
        raise SettingError(
            f"{source} is no network that ONNX Runtime can open ({error}); expected a file of "
            "'recon-train export', or the folder of a finished 'recon-train fit'"
        ) from error
    _check_name(network, source, _named_by_card(source) or network)
    _check_answer(network, source, answer.dims[0])


def _named_by_card(source: Path) -> str | None:
    """What the card beside a file says it is, if there is one and it is of this file."""
    try:
        card: dict[str, Any] = json.loads(source.with_name(CARD_FILE).read_text("utf-8"))
        if card["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest():
            return str(card["training"]["recipe"]["network"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # a file without a card can be run; it is told by its sha256
    return None


def _check_name(network: str, source: Path, found: str) -> None:
    if found != network:
        raise SettingError(
            f"{source} is {found}, expected {network}: name it with --network {found}={source} "
            f"and compare {found}"
        )


def _check_answer(network: str, source: Path, channels: int | None) -> None:
    answers = kind_of(network).answers
    if channels != _CHANNELS[answers]:
        raise SettingError(
            f"{source} answers with {channels} channels, {network} with {answers} of "
            f"{_CHANNELS[answers]}: is it another network?"
        )
