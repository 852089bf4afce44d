"""Open the engine that the user names: an embedded server, running servers, or this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from smlm_pipeline import contract
from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.engines import canary, embedded, fleet
from smlm_pipeline.engines.canary import Canary
from smlm_pipeline.engines.fleet import Fleet
from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.watched import Watch, WatchedTransport
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import (
    class_borders_px,
    find_model_repository,
    network_file,
    network_sha256,
    trained_ranges,
)
from smlm_pipeline.settings import PRECISION_VARIABLE, Settings

CANARY_PATIENCE_S = 60.0
"""Longest wait of a user for the answer to a canary, which takes its place in the queue."""


@dataclass(frozen=True)
class Engine:
    """An open engine and its description.

    ``count_servers`` counts the servers that share the requests now; ``notes`` are for the user.
    ``network_sha256`` is empty for running servers, which do not state it; ``fleet`` is None
    without servers. ``request_pixels`` are the camera pixels, over all frames, that a request
    should have, if the engine states it. ``network_engine`` states what computes the network; it is
    empty for running servers, which do not state that. ``class_borders_px`` are the borders of the
    network's precision classes, for each number of classes, where they are stated.
    ``trained_ranges`` are those that it was trained on (`contract.ranges_of`), where stated.
    """

    transport: Transport
    description: str
    model_version: str
    count_servers: Callable[[], int] = lambda: 1
    notes: tuple[str, ...] = ()
    network_sha256: str = ""
    fleet: Fleet | None = None
    request_pixels: int | None = None
    network_engine: NetworkEngine = field(default_factory=NetworkEngine)
    class_borders_px: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    trained_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def check(self) -> None:
        """Check that the network is still the one that the engine was opened with.

        Raises
        ------
        ContractError
            If a server has switched to another version.
        """
        if self.fleet is not None:
            self.fleet.check_unchanged()


EngineChoice: TypeAlias = str | Servers | Engine | Transport
"""What a caller may name as the engine; see `open_engine`."""


def open_engine(
    engine: EngineChoice,
    model: str,
    *,
    timeout_s: float,
    model_repository: Path | None = None,
    precision: str | None = None,
) -> contextlib.AbstractContextManager[Engine]:
    """Open the engine that a user names on entry, and close it on exit.

    Parameters
    ----------
    engine : str, Servers, Engine or Transport
        ``"triton"`` starts the embedded server, ``"local"`` runs the network in this process,
        and any other text is ``HOST:PORT`` of running servers. An engine or transport that is
        open is used as it is, and stays open.
    model : str
        The ensemble that requests name.
    timeout_s : float
        Longest wait for the answer to one request.
    model_repository : Path, optional
        Repository of the embedded server and of the local engine.
    precision : str, optional
        Precision of the network in the embedded server and the local engine, one of
        ``settings.PRECISIONS``; by default that of the network's card.

    Raises
    ------
    SettingError
        If the text is neither a name of an engine nor an address, or a precision is named for
        an engine that runs already.
    """
    if engine == "local":
        return local_engine(model_repository, model, precision=precision)
    if engine == "triton":
        return embedded_engine(model_repository, model, timeout_s=timeout_s, precision=precision)
    if precision is not None:
        raise SettingError(
            f"precision {precision} is asked of an engine that runs already; leave out "
            f"--precision, or start the server with it ('recon-client serve --precision "
            f"{precision}', or {PRECISION_VARIABLE}={precision})"
        )
    if isinstance(engine, Engine):
        return _checked(engine)
    if isinstance(engine, Servers):
        return server_engine(engine, model, timeout_s=timeout_s)
    if not isinstance(engine, str):
        return contextlib.nullcontext(Engine(engine, "an engine of the caller", ""))
    return server_engine(Servers.parse(engine), model, timeout_s=timeout_s)


@contextlib.contextmanager
def _checked(engine: Engine) -> Iterator[Engine]:
    """Use an open engine, and check at the end that its servers have the same network."""
    yield engine
    engine.check()


@contextlib.contextmanager
def local_engine(
    model_repository: Path | None, model: str, *, precision: str | None = None
) -> Iterator[Engine]:
    """Run the network in this process.

    Raises
    ------
    SettingError
        If there is no such model or no network for it, or no engine is installed.
    """
    if model not in contract.ENSEMBLES:
        raise SettingError(
            f"--engine local has no model {model!r}; expected one of "
            f"{', '.join(contract.ENSEMBLES)}"
        )
    network = contract.ENSEMBLES[model].network.name
    repository = find_model_repository(model_repository)
    file = network_file(repository, network)
    try:
        # It runs compiled loops; clients of a server do not have Numba.
        from smlm_pipeline.engines.local import LocalTransport

        transport = LocalTransport(file, precision=precision)
    except ModuleNotFoundError as error:
        raise SettingError(
            "--engine local needs Numba, and OpenVINO or ONNX Runtime, which are not installed; "
            "install 'smlm-recon[local]', or use --server"
        ) from error
    network_engine = transport.network.engine
    yield Engine(
        transport,
        f"{network_engine.name} in this process",
        file.parent.name,
        notes=(network_engine.note,) if network_engine.note else (),
        network_sha256=network_sha256(file),
        network_engine=network_engine,
        class_borders_px=class_borders_px(repository, network),
        trained_ranges=trained_ranges(file),
    )


@contextlib.contextmanager
def server_engine(
    servers: Servers, model: str, *, timeout_s: float = Settings.timeout_s
) -> Iterator[Engine]:
    """Use running Triton servers, all of the same network.

    Parameters
    ----------
    servers : Servers
        Each is asked for its state; those that do not answer are left out if there are others.
    model : str
        The ensemble that requests name.
    timeout_s : float
        Longest wait for the sum of one chunk.

    Raises
    ------
    ServerError
        If no server answers.
    ContractError
        If one serves another model, or they serve several versions of it; at the end, if one
        has switched to another version meanwhile.
    """
    running = Fleet.of(servers, model)
    with fleet.connect(running.servers, model, timeout_s=timeout_s) as transport:
        transport.connections.check_changed = running.check_unchanged
        engine = Engine(
            transport,
            f"Triton at {running.servers}",
            running.version,
            lambda: transport.server_count,
            running.notes,
            fleet=running,
            request_pixels=running.request_pixels,
            class_borders_px=running.class_borders_px,
            trained_ranges=running.trained_ranges,
        )
        yield engine
    engine.check()


@contextlib.contextmanager
def embedded_engine(
    model_repository: Path | None,
    model: str,
    *,
    timeout_s: float = Settings.timeout_s,
    precision: str | None = None,
) -> Iterator[Engine]:
    """Start a Triton server on this machine, watch it, and stop it at the end.

    If it dies or hangs, it is started again, and requests fail with an error that may pass.

    Raises
    ------
    ServerError
        If it cannot run here or does not start.
    """
    repository = find_model_repository(model_repository)
    if model in contract.ENSEMBLES:
        network_file(repository, contract.ENSEMBLES[model].network.name)  # before Triton reads it
    server = embedded.EmbeddedServer(repository, precision=precision, private=True)
    with (
        Watch(server, [model]) as watch,
        server_engine(server.servers, model, timeout_s=timeout_s) as engine,
    ):
        engine = replace(engine, transport=WatchedTransport(engine.transport, watch))
        if model in contract.ENSEMBLES:
            network = contract.ENSEMBLES[model].network.name
            network_engine = server.network_engine(network)
            engine = replace(
                engine,
                notes=(*engine.notes, *filter(None, [network_engine.note])),
                network_sha256=network_sha256(network_file(repository, network)),
                trained_ranges=trained_ranges(network_file(repository, network)),
                network_engine=network_engine,
            )
        yield engine


def served_ensembles(repository: Path) -> list[str]:
    """List the ensembles of a repository."""
    return [name for name in contract.ENSEMBLES if (repository / name).exists()]


def server_canary(servers: Servers, model: str) -> Canary:
    """Send servers one frame with one molecule, and judge the answer.

    A server that hangs is waited for ``CANARY_PATIENCE_S``.

    Raises
    ------
    ReconError
        If no server answers, or the molecule is not found.
    """
    with server_engine(servers, model, timeout_s=CANARY_PATIENCE_S) as engine:
        return canary.ask(engine.transport)
