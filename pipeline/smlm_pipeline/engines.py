"""Opens the engine that a user asked for: embedded server, server elsewhere, or local.

The engines' modules are imported only when one is opened: they need packages
that not every installation has, and ``--help`` should not wait for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.repository import find_model_repository, network_file
from smlm_pipeline.transport import Transport

if TYPE_CHECKING:
    from smlm_pipeline.triton import ServerStatus


@dataclass(frozen=True)
class Engine:
    """An open engine and what it says of itself."""

    transport: Transport
    description: str
    model_version: str


@contextlib.contextmanager
def local_engine(model_repository: Path | None, model: str) -> Iterator[Engine]:
    """The network in this process.

    Raises
    ------
    SettingError
        If there is no such model or no network for it, or ONNX Runtime is not installed.
    """
    if model not in contract.STEPS:
        raise SettingError(
            f"--engine local has no model {model!r}; expected one of {', '.join(contract.STEPS)}"
        )
    _, network, _ = contract.STEPS[model]
    file = network_file(find_model_repository(model_repository), network.name)
    try:
        from smlm_pipeline.local import LocalTransport
    except ModuleNotFoundError as error:
        raise SettingError(
            "--engine local needs ONNX Runtime, which is not installed; "
            "install 'smlm-recon[local]', or use --server"
        ) from error
    yield Engine(LocalTransport(file), "ONNX Runtime in this process", file.parent.name)


@contextlib.contextmanager
def server_engine(address: str, model: str) -> Iterator[Engine]:
    """A Triton server that runs already.

    Raises
    ------
    ServerError
        If no server answers.
    ContractError
        If it serves another model.
    """
    from smlm_pipeline.triton import TritonTransport

    _check_address(address)
    with TritonTransport(address, model=model) as transport:
        yield Engine(transport, f"Triton at {address}", transport.model_version())


@contextlib.contextmanager
def embedded_engine(model_repository: Path | None, model: str) -> Iterator[Engine]:
    """A Triton server of our own, started now and stopped at the end.

    Raises
    ------
    ServerError
        If it cannot run here or does not start.
    """
    from smlm_pipeline.server import EmbeddedServer

    repository = find_model_repository(model_repository)
    with (
        EmbeddedServer(repository) as server,
        server_engine(server.address, model) as engine,
    ):
        yield engine


def server_status(address: str, model: str) -> ServerStatus:
    """What a server says of itself and of the models of this client, for one that is asked.

    Raises
    ------
    ServerError
        If no server answers.
    """
    from smlm_pipeline.triton import TritonTransport

    _check_address(address)
    with TritonTransport(address, model=model) as transport:
        return transport.status()


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise SettingError(
            f"server is {address!r}; expected HOST:PORT of its gRPC endpoint, "
            f"for example 127.0.0.1:{contract.GRPC_PORT}"
        )
