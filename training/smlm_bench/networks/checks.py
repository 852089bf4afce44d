"""Trained networks opened before hours of work, to refuse damaged files and other networks."""

from __future__ import annotations

import functools
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from smlm_bench.networks.loading import answer_of, keras_network
from smlm_bench.networks.places import fingerprint
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError, ReconError, SettingError
from smlm_training.delivery.candidate import CARD_FILE, RUNTIME_ERRORS
from smlm_training.networks import NETWORKS


def check_network(network: str, runtime: str, source: Path) -> None:
    """Open a network as ``runtime`` will.

    Parameters
    ----------
    network : str
        Expected name.
    runtime : str
        Runtime that will run it.
    source : Path
        An ONNX file, or the folder of a run, as from ``places.find_network``.

    Raises
    ------
    SettingError
        If it is no network, damaged, or another one.
    ContractError
        If it does not fit the contract.
    """
    if source.is_file():
        _check_onnx(network, source)
    if runtime == "keras" or source.is_dir():
        keras_model(network, source)


def keras_model(network: str, source: Path) -> keras.Model:
    """Load a network with Keras once, and check that it is that network.

    Parameters
    ----------
    network : str
        Expected name.
    source : Path
        An ONNX file, or the folder of a run.

    Returns
    -------
    keras.Model
        The network, the same object at every call.

    Raises
    ------
    SettingError
        If it is no network, damaged, or another one.
    """
    return _loaded(network, source, fingerprint(source))


@functools.cache
def _loaded(network: str, source: Path, _sha256: str) -> keras.Model:
    try:
        model = keras_network(network, source)
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
    _check_channels(network, source, model.output_shape[-1])
    return model


def _check_onnx(network: str, source: Path) -> None:
    try:
        answer = OnnxNetwork(source, intra_op_threads=1).answer
    except ContractError as error:
        raise ContractError(f"{source}: {error}") from error
    except (*RUNTIME_ERRORS, LookupError, TypeError) as error:
        raise SettingError(
            f"{source} is no network that ONNX Runtime can open ({error}); expected a file of "
            "'recon-train export', or the folder of a finished 'recon-train fit'"
        ) from error
    _check_name(network, source, _name_on_card(source) or network)
    _check_channels(network, source, answer.channels)


def _name_on_card(source: Path) -> str | None:
    """Read the network's name from the card beside a file; None without a card of this file."""
    try:
        card: dict[str, Any] = json.loads(source.with_name(CARD_FILE).read_text("utf-8"))
        if card["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest():
            return str(card["training"]["recipe"]["network"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # a file without a card can be run; its sha256 identifies it
    return None


def _check_name(network: str, source: Path, name: str) -> None:
    if name != network:
        raise SettingError(
            f"{source} is {name}, expected {network}: name it with --network {name}={source} "
            f"and compare {name}"
        )


def _check_channels(network: str, source: Path, channels: int | None) -> None:
    answer = answer_of(network)
    if channels != answer.channels:
        raise SettingError(
            f"{source} answers with {channels} channels, {network} with {answer.name.lower()} of "
            f"{answer.channels}: is it another network?"
        )
