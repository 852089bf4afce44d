"""Trained networks in the form that each runtime needs: Keras, ONNX, a model repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras

from smlm_bench.networks.places import NETWORK_FILE
from smlm_pipeline import contract
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import network_sha256
from smlm_training.delivery.candidate import CARD_FILE
from smlm_training.delivery.export import export
from smlm_training.delivery.start import start_from
from smlm_training.networks import NETWORKS, kind_of
from smlm_training.simulation.presets import preset_film

_REFERENCE_FRAMES = 2


def answer_of(network: str) -> contract.Answer:
    """State what a network of this name answers.

    Parameters
    ----------
    network : str
        Name of the network.

    Returns
    -------
    Answer
        The contract's kind of answer.

    Raises
    ------
    SettingError
        If there is no such network.
    """
    return kind_of(network).answer


def keras_network(network: str, source: Path) -> keras.Model:
    """Load a network with Keras, from a run or with the weights of an ONNX file.

    Parameters
    ----------
    network : str
        Name of the network.
    source : Path
        An ONNX file, or the folder of a run.

    Returns
    -------
    keras.Model
        The network.

    Raises
    ------
    SettingError
        If the weights of an ONNX file cannot be assigned to layers; a run's folder has them.
    """
    if source.is_dir():
        return keras.saving.load_model(source / NETWORK_FILE)
    model = NETWORKS[network]()
    model.set_weights(start_from(source).weights)
    return model


def untrained_network(network: str) -> keras.Model:
    """Build a network with random weights, for measurements that do not depend on them."""
    return NETWORKS[network]()


def onnx_network(network: str, source: Path, folder: Path) -> Path:
    """Provide a network as an ONNX file.

    Parameters
    ----------
    network : str
        Name of the network.
    source : Path
        An ONNX file, or the folder of a run, which is exported.
    folder : Path
        Where to export to.

    Returns
    -------
    Path
        The file.
    """
    if source.is_file():
        return source
    film = preset_film("microtubules", seed=2, frames=16, height_px=32, width_px=32)
    frames_adu, levels_adu = prepared(film.frames_adu)
    reference = frames_adu[:_REFERENCE_FRAMES], levels_adu[:_REFERENCE_FRAMES]
    return export(keras_network(network, source), folder / f"{network}.onnx", *reference).path


def served_repository(network: str, source: Path, folder: Path) -> tuple[Path, str]:
    """Write a model repository that serves one network.

    A network that the contract does not name replaces the one with the same kind of answer.

    Parameters
    ----------
    network : str
        Name of the network.
    source : Path
        An ONNX file, or the folder of a run.
    folder : Path
        Where to write.

    Returns
    -------
    repository : Path
        The model repository.
    ensemble : str
        Name of the ensemble with this network.
    """
    model = network.replace("-", "_")
    if model not in contract.NETWORKS:
        model = next(iter(contract.networks_that_answer(answer_of(network))))
    ensemble = contract.ensemble_of(model).name
    repository = copy_of_ensemble(ensemble, folder)
    versions = (path for path in (repository / model).iterdir() if path.name.isdigit())
    version = max(versions, key=lambda path: int(path.name))
    file = onnx_network(network, source, folder)
    if network_sha256(file) != network_sha256(version / "model.onnx"):
        (version / CARD_FILE).unlink(missing_ok=True)  # it is of another network
        shutil.copyfile(file, version / "model.onnx")
    return repository, ensemble
