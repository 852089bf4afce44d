"""Opens the engine that a user asked for: embedded server, server elsewhere, or local.

The engines' modules are imported only when one is opened: they need packages
that not every installation has, and ``--help`` should not wait for them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from smlm_pipeline import contract
from smlm_pipeline.engines import canary
from smlm_pipeline.engines.canary import Canary
from smlm_pipeline.engines.fleet import (
    _ask_each,
    _check_unchanged,
    _endpoints,
    _going_on,
    _version,
    unlike_networks,
)
from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.engines.triton import addresses
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_pipeline.settings import Settings

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Engine:
    """An open engine and what it says of itself.

    ``server_count`` is how many servers share the requests; ``notes`` are what the user should
    know of them. ``network_sha256`` is empty for servers elsewhere, which do not tell it;
    ``check`` raises a `ContractError` if they went over to another network since.
    """

    transport: Transport
    description: str
    model_version: str
    server_count: int = 1
    notes: tuple[str, ...] = ()
    network_sha256: str = ""
    check: Callable[[], None] = lambda: None


@contextlib.contextmanager
def local_engine(model_repository: Path | None, model: str) -> Iterator[Engine]:
    """The network in this process.

    Raises
    ------
    SettingError
        If there is no such model or no network for it, or ONNX Runtime is not installed.
    """
    if model not in contract.ENSEMBLES:
        raise SettingError(
            f"--engine local has no model {model!r}; expected one of "
            f"{', '.join(contract.ENSEMBLES)}"
        )
    file = network_file(
        find_model_repository(model_repository), contract.ENSEMBLES[model].network.name
    )
    try:
        from smlm_pipeline.engines.local import LocalTransport
    except ModuleNotFoundError as error:
        raise SettingError(
            "--engine local needs ONNX Runtime, which is not installed; "
            "install 'smlm-recon[local]', or use --server"
        ) from error
    yield Engine(
        LocalTransport(file),
        "ONNX Runtime in this process",
        file.parent.name,
        network_sha256=_sha256(file),
    )


@contextlib.contextmanager
def server_engine(
    address: str, model: str, *, timeout_s: float = Settings.timeout_s
) -> Iterator[Engine]:
    """Triton servers that run already, all of the same network.

    Parameters
    ----------
    address : str
        ``HOST:PORT``, or several with commas between. Each is asked; those that do not answer
        are left out if there are others.
    model : str
        The ensemble that is asked.
    timeout_s : float
        Longest wait for the sum of one chunk.

    Raises
    ------
    SettingError
        If the address is none.
    ServerError
        If no server answers.
    ContractError
        If one serves another model, or they serve several versions of it; at the end, if one
        has gone over to another version meanwhile.
    """
    from smlm_pipeline.engines.triton.transport import TritonTransport

    asked = addresses.parse(address)
    versions, silent = _ask_each(_endpoints(asked), lambda each: _version(each, model))
    if unlike := unlike_networks(versions, model):
        raise unlike
    used = [each for each in asked if each not in silent]
    left_out = [each for each in asked if each in silent]
    notes = (_going_on(left_out, used),) if left_out else ()
    version = next(iter(versions.values()))
    address = ",".join(map(str, used))
    with TritonTransport(address, model=model, timeout_s=timeout_s) as transport:
        description = f"Triton at {transport.address}"
        check = functools.partial(_check_unchanged, used, model, version)
        yield Engine(transport, description, version, transport.server_count, notes, check=check)
    check()


@contextlib.contextmanager
def embedded_engine(
    model_repository: Path | None, model: str, *, timeout_s: float = Settings.timeout_s
) -> Iterator[Engine]:
    """A Triton server of our own, started now and stopped at the end.

    Raises
    ------
    ServerError
        If it cannot run here or does not start.
    """
    from smlm_pipeline.engines.embedded import EmbeddedServer

    repository = find_model_repository(model_repository)
    with (
        EmbeddedServer(repository) as server,
        server_engine(server.address, model, timeout_s=timeout_s) as engine,
    ):
        if model in contract.ENSEMBLES:
            file = network_file(repository, contract.ENSEMBLES[model].network.name)
            engine = replace(engine, network_sha256=_sha256(file))
        yield engine


def open_engine(
    engine: str | Engine | Transport,
    model: str,
    *,
    timeout_s: float,
    model_repository: Path | None = None,
) -> contextlib.AbstractContextManager[Engine]:
    """The engine that a user names, opened on entry and closed on exit.

    Parameters
    ----------
    engine : str, Engine or Transport
        ``"triton"`` starts the embedded server, ``"local"`` runs the network in this process,
        and any other text is ``HOST:PORT`` of running servers. An engine or transport that is
        open is used as it is, and stays open.
    model : str
        The ensemble to ask.
    timeout_s : float
        Longest wait for the answer to one request.
    model_repository : Path, optional
        Repository of the embedded server and of the local engine.
    """
    if isinstance(engine, Engine):
        return contextlib.nullcontext(engine)
    if not isinstance(engine, str):
        return contextlib.nullcontext(Engine(engine, "an engine of the caller", ""))
    if engine == "local":
        return local_engine(model_repository, model)
    if engine == "triton":
        return embedded_engine(model_repository, model, timeout_s=timeout_s)
    return server_engine(engine, model, timeout_s=timeout_s)


def server_canary(address: str, model: str) -> Canary:
    """What a server makes of one frame with one molecule.

    Raises
    ------
    ReconError
        If it does not answer, or does not find it.
    """
    with server_engine(address, model) as engine:
        return canary.ask(engine.transport)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
