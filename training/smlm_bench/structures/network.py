"""Open the network that a user names by the name of a model, a file, or the folder of a run."""

from __future__ import annotations

from pathlib import Path

from smlm_bench.networks.places import find_network
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import network_sha256


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
        If there is no such network or precision, or no engine for it is installed.
    ContractError
        If its tensors are not those of the contract.
    """
    path = Path(network)
    file = find_network(path.name, {path.name: path} if path.exists() else {})
    if file.is_dir():
        # Loads TensorFlow, which networks in ONNX do without.
        from smlm_bench.networks.loading import onnx_network

        file = onnx_network(path.name, file, folder)
    try:
        return LocalTransport(file, precision=precision), network_sha256(file)
    except ModuleNotFoundError as error:
        raise SettingError(
            "the networks need OpenVINO or ONNX Runtime, which are not installed; install "
            "'smlm-recon[local]'"
        ) from error
