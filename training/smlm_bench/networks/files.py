"""Where trained networks come from: a run's folder, an ONNX file, or the model repository."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.errors import ContractError, ReconError, SettingError
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.delivery.candidate import CARD_FILE, RUNTIME_ERRORS
from smlm_training.delivery.export import export
from smlm_training.delivery.start import start_from
from smlm_training.fitting import runs
from smlm_training.fitting.runs import MANIFEST_FILE, NETWORK_FILE, start_from_run
from smlm_training.networks import NETWORKS, kind_of
from smlm_training.scoring.inference import normalized
from smlm_training.simulation.presets import preset_film

TRAINED_FOLDER = Path(__file__).parents[1] / "trained"
"""What comes with the comparison; ``comparison.ship_network`` puts it there."""


def ship(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    folder: Annotated[
        Path, typer.Option("-o", "--output", help="Where the networks lie.")
    ] = TRAINED_FOLDER,
) -> None:
    """Round, pack, and say so in the manifest."""
    manifest = start_from_run(run).manifest
    network = keras.saving.load_model(run / NETWORK_FILE)
    network.set_weights(
        [each.astype(np.float16).astype(np.float32) for each in network.get_weights()]
    )
    shipped = folder / manifest["recipe"]["network"]
    shipped.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / NETWORK_FILE
        network.save(saved)
        _repack(saved, shipped / NETWORK_FILE)
    told = json.dumps({**manifest, "weights_rounded_to": "float16"}, indent=2)
    (shipped / MANIFEST_FILE).write_text(told + "\n", encoding="utf-8")
    typer.echo(f"{shipped}: {(shipped / NETWORK_FILE).stat().st_size / 1e6:.1f} MB")


def _repack(saved: Path, packed: Path) -> None:
    """Keras stores its archive's members unpacked."""
    with (
        zipfile.ZipFile(saved) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for member in source.namelist():
            target.writestr(member, source.read(member))


if __name__ == "__main__":
    typer.run(ship)


DEFAULT_FOLDER = Path("runs")
"""Below the current folder: where networks lie that the model repository has not."""


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
        model = next(iter(contract.networks_that_answer(kind_of(network).answer)))
    ensemble = _ensemble_with(model)
    copied = copy_of_ensemble(ensemble, folder)
    version = max((each for each in (copied / model).iterdir() if each.name.isdigit()), key=_number)
    (version / CARD_FILE).unlink(missing_ok=True)
    shutil.copyfile(onnx_network(network, source, folder), version / "model.onnx")
    return copied, ensemble


def _number(version: Path) -> int:
    return int(version.name)


def _ensemble_with(model: str) -> str:
    return contract.ensemble_of(model).name


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
    _check_answer(network, source, model.output_shape[-1])
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
    _check_name(network, source, _named_by_card(source) or network)
    _check_answer(network, source, answer.channels)


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
    answer = kind_of(network).answer
    if channels != answer.channels:
        raise SettingError(
            f"{source} answers with {channels} channels, {network} with {answer.name} of "
            f"{answer.channels}: is it another network?"
        )
