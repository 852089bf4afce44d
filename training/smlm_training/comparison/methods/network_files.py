"""Where trained networks come from: a run's folder, an ONNX file, or the model repository."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import keras

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.repository import find_model_repository, network_file
from smlm_training.comparison.ensemble_copy import copy_of_ensemble
from smlm_training.delivery.candidate import CARD_FILE
from smlm_training.delivery.export import export
from smlm_training.delivery.start import start_from
from smlm_training.fitting import runs
from smlm_training.networks import MAP_NETWORKS, NETWORKS
from smlm_training.scoring.inference import normalized
from smlm_training.simulation.presets import preset_film

DEFAULT_FOLDER = Path("runs")
"""Below the current folder: where networks lie that the model repository has not."""

TRAINED_FOLDER = Path(__file__).parents[1] / "trained"
"""What comes with the comparison; ``comparison.ship_network`` puts it there."""

_REFERENCE_FRAMES = 2


def find_network(network: str, given: Mapping[str, Path]) -> Path:
    """A trained network: as given, of the model repository, in ``runs/NETWORK``, or as shipped.

    Returns
    -------
    Path
        An ONNX file, or the folder of a finished run.

    Raises
    ------
    SettingError
        If there is none; the message says how to train it.
    """
    if network in given:
        found = given[network]
        if found.is_file() or (found / runs.NETWORK_FILE).is_file():
            return found
        raise SettingError(
            f"no network at {found}; expected an ONNX file or the folder of a finished "
            f"'recon-train fit'. {_how_to_train(network)}"
        )
    model = network.replace("-", "_")
    if model in contract.NETWORKS:
        try:
            return network_file(find_model_repository(), model)
        except SettingError:
            pass  # it may lie among the runs instead, or its weights are still to come
    for found in (DEFAULT_FOLDER / network, TRAINED_FOLDER / network):
        if (found / runs.NETWORK_FILE).is_file():
            return found
    raise SettingError(
        f"no trained {network}: expected the folder of a finished run at "
        f"{DEFAULT_FOLDER / network}, or --network {network}=PATH with one, or with an ONNX file. "
        f"{_how_to_train(network)}"
    )


def _how_to_train(network: str) -> str:
    """The commands, in words that fit behind an error."""
    base = {"unet": "default", "unet-fast": "fast", "unet-map": "map", "fid-storm": "map"}
    preset = f'{{"base": "{base.get(network, "seed")}", "network": "{network}"}}'
    film = (
        ""
        if network in base
        else " --stack STACK --positions POSITIONS, of a film of 'recon-train simulate'"
    )
    return (
        f"Train it with: recon-train fit {DEFAULT_FOLDER / network} --preset FILE{film}, "
        f"where FILE holds {preset}"
    )


def fingerprint(source: Path) -> str:
    """SHA-256 of the network, which tells results of one from those of another."""
    file = source / runs.NETWORK_FILE if source.is_dir() else source
    return hashlib.sha256(file.read_bytes()).hexdigest()


def keras_network(network: str, source: Path) -> keras.Model:
    """The network as Keras has it.

    Raises
    ------
    SettingError
        If an ONNX file does not tell its weights apart; the run's folder does.
    """
    if source.is_dir():
        return keras.saving.load_model(source / runs.NETWORK_FILE)
    model = NETWORKS[network]()
    model.set_weights(start_from(source).weights)
    return model


def onnx_network(network: str, source: Path, folder: Path) -> Path:
    """The network as an ONNX file, which is made in ``folder`` from a run."""
    if source.is_file():
        return source
    film = preset_film("microtubules", seed=2, frames=16, height_px=32, width_px=32)
    reference = normalized(film.frames_adu)[:_REFERENCE_FRAMES]
    return export(keras_network(network, source), folder / f"{network}.onnx", reference).path


def served_repository(network: str, source: Path, folder: Path) -> tuple[Path, str]:
    """A model repository in ``folder`` that serves this network alone, and the ensemble to ask.

    A network that the contract does not name takes the place of the one that answers
    alike.
    """
    model = network.replace("-", "_")
    if model not in contract.NETWORKS:
        model = (contract.UNET_MAP if network in MAP_NETWORKS else contract.UNET).name
    ensemble = _ensemble_with(model)
    copied = copy_of_ensemble(ensemble, folder)
    version = max((each for each in (copied / model).iterdir() if each.name.isdigit()), key=_number)
    (version / CARD_FILE).unlink(missing_ok=True)
    shutil.copyfile(onnx_network(network, source, folder), version / "model.onnx")
    return copied, ensemble


def _number(version: Path) -> int:
    return int(version.name)


def _ensemble_with(model: str) -> str:
    return next(name for name, steps in contract.STEPS.items() if steps[1].name == model)


def ensemble_of(network: str) -> str:
    """The ensemble of a server elsewhere that serves a network under its own name.

    Raises
    ------
    SettingError
        If none does.
    """
    model = network.replace("-", "_")
    if model in contract.NETWORKS:
        return _ensemble_with(model)
    raise SettingError(
        f"no ensemble of the contract serves {network}; expected one of "
        f"{', '.join(name.replace('_', '-') for name in contract.NETWORKS)}"
    )
