"""Where trained networks are: a run's folder, an ONNX file, the model repository, or here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import find_model_repository, network_file

TRAINED_FOLDER = Path(__file__).parents[1] / "trained"
"""Networks of the comparison, by ``recon-bench ship``; in a checkout, not in the wheel."""

RUNS_FOLDER = Path("runs")
"""Runs below the current folder, for networks that the model repository lacks."""

NETWORK_FILE = "network.keras"
"""The network in the folder of a run."""


def find_network(network: str, given: Mapping[str, Path]) -> Path:
    """Find a trained network: as given, in the model repository, in ``runs/NETWORK``, or shipped.

    Parameters
    ----------
    network : str
        Its name.
    given : mapping of str to Path
        Networks that the user names.

    Returns
    -------
    Path
        An ONNX file, or the folder of a finished run.

    Raises
    ------
    SettingError
        If there is none; the message names the command that trains it.
    """
    if network in given:
        place = given[network]
        if place.is_file() or _is_run(place):
            return place
        raise SettingError(
            f"no network at {place}; expected an ONNX file or the folder of a finished "
            f"'recon-train fit'. {_how_to_train(network)}"
        )
    model = network.replace("-", "_")
    if model in contract.NETWORKS:
        try:
            return network_file(find_model_repository(), model)
        except SettingError:
            pass  # a run may have it, or its weights are still to come
    for folder in (RUNS_FOLDER / network, TRAINED_FOLDER / network):
        if _is_run(folder):
            return folder
    raise SettingError(
        f"no trained {network}: expected the folder of a finished run at "
        f"{RUNS_FOLDER / network}, or --network {network}=PATH with one, or with an ONNX file. "
        f"{_checkout_needed()}{_how_to_train(network)}"
    )


def fingerprint(source: Path) -> str:
    """Hash a network's file, which tells its results from those of other weights.

    Parameters
    ----------
    source : Path
        An ONNX file, or the folder of a run.

    Returns
    -------
    str
        SHA-256 in hexadecimal digits.
    """
    file = source / NETWORK_FILE if source.is_dir() else source
    return hashlib.sha256(file.read_bytes()).hexdigest()


def ensemble_of(network: str) -> str:
    """Name the ensemble that serves a network under its own name.

    Parameters
    ----------
    network : str
        Name of the network.

    Returns
    -------
    str
        Name of the ensemble.

    Raises
    ------
    SettingError
        If none does.
    """
    model = network.replace("-", "_")
    if model in contract.NETWORKS:
        return contract.ensemble_of(model).name
    raise SettingError(
        f"no ensemble of the contract serves {network}; expected one of "
        f"{', '.join(name.replace('_', '-') for name in contract.NETWORKS)}"
    )


def _is_run(folder: Path) -> bool:
    return (folder / NETWORK_FILE).is_file()


def _checkout_needed() -> str:
    """Say where the comparison's networks are, if this installation lacks them."""
    if TRAINED_FOLDER.is_dir():
        return ""
    return (
        "The networks of the comparison are in a checkout of the repository, not in the wheel: "
        "take a checkout, or train. "
    )


def _how_to_train(network: str) -> str:
    base = {"unet": "default", "unet-fast": "fast", "unet-map": "map", "fid-storm": "map"}
    preset = f'{{"base": "{base.get(network, "seed")}", "network": "{network}"}}'
    film = (
        ""
        if network in base
        else " --stack STACK --positions POSITIONS, of a film of 'recon-train simulate'"
    )
    return (
        f"Train it with: recon-train fit {RUNS_FOLDER / network} --preset FILE{film}, "
        f"where FILE holds {preset}"
    )
