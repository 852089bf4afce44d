"""Open the network that a user names by the name of a model, a file, or the folder of a run."""

from __future__ import annotations

from pathlib import Path

from smlm_bench.networks.places import find_network
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import network_sha256
from smlm_training.scoring.inference import NO_NETWORK_ERRORS

with imported_when_used():  # networks in ONNX load no TensorFlow
    from smlm_bench.networks import loading


def open_engine(
    network: str, folder: Path, precision: str | None = None
) -> tuple[LocalTransport, str]:
    """Open a network in this process.

    Parameters
    ----------
    network : str
        Name of a network, an ONNX file, or the folder of a finished run, which is exported.
    folder : Path
        Where to export to.
    precision : str, optional
        Precision of the network; by default that of its card.

    Returns
    -------
    engine : LocalTransport
        The network and the drawing.
    sha256 : str
        Hash of the network's file.

    Raises
    ------
    SettingError
        If there is no such network or precision, or the file is no network.
    ContractError
        If its tensors are not those of the contract.
    """
    path = Path(network)
    file = find_network(path.name, {path.name: path} if path.exists() else {})
    if file.is_dir():
        file = loading.onnx_network(path.name, file, folder)
    try:
        return LocalTransport(file, precision=precision), network_sha256(file)
    except NO_NETWORK_ERRORS as error:
        reason = str(error).splitlines()[0]
        raise SettingError(
            f"{file} is no network ({reason}); expected an ONNX file, as 'recon-train export' "
            "writes it"
        ) from error
