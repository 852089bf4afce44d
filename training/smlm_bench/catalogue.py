"""The methods by name, and how each is opened on a film."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smlm_bench.baselines.cel0.method import Cel0
from smlm_bench.baselines.falcon.method import Falcon
from smlm_bench.baselines.single_emitter import Blank, SingleEmitter, Widefield
from smlm_bench.console import load_tensorflow_quietly
from smlm_bench.method import CLASSICAL_NAMES, NETWORKS, RUNTIMES, FilmFacts, Method
from smlm_pipeline import contract
from smlm_pipeline.errors import ReconError, ServerError, SettingError

CLASSICAL: dict[str, Callable[[FilmFacts], Method]] = {
    "blank": Blank,
    "widefield": Widefield,
    "single-emitter": SingleEmitter,
    "cel0": Cel0,
    "falcon": Falcon,
}
"""Those of ``CLASSICAL_NAMES``."""


_KERAS_BATCH = {contract.MAP_ANSWER: 4, contract.DETECTION_ANSWER: 32}


@dataclass(frozen=True)
class Sources:
    """Networks that are not in their usual place, by name, and a server elsewhere if any."""

    networks: Mapping[str, Path] = field(default_factory=dict)
    server: str | None = None


def is_kept(name: str) -> bool:
    """Whether a method's result may be kept: a server elsewhere may serve others tomorrow."""
    return not name.endswith("@server")


@contextlib.contextmanager
def opened(name: str, facts: FilmFacts, sources: Sources) -> Iterator[Method]:
    """The method on a film; a server that it needs runs within the ``with`` block.

    Raises
    ------
    SettingError
        If a network is missing.
    ServerError
        If there is no server, or it cannot be started.
    """
    if name in CLASSICAL:
        yield CLASSICAL[name](facts)
        return
    load_tensorflow_quietly()
    network, _, runtime = name.partition("@")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if runtime == "keras":
            yield _keras(network, facts, sources)
        elif runtime == "onnx":
            yield _onnx(network, facts, sources, Path(folder))
        else:
            yield stack.enter_context(_triton(network, runtime, facts, sources, Path(folder)))


def _keras(network: str, facts: FilmFacts, sources: Sources) -> Method:
    import tensorflow as tf

    from smlm_bench.networks import files
    from smlm_bench.networks.files import keras_model
    from smlm_bench.networks.runners import KerasNetwork
    from smlm_training.networks import kind_of

    source = files.find_network(network, sources.networks)
    model = keras_model(network, source)
    method = KerasNetwork(model, facts, batch=_KERAS_BATCH[kind_of(network).answer])
    method.parameters |= {
        "sha256": files.fingerprint(source),
        "tensorflow": tf.__version__,
    }
    return method


def _onnx(network: str, facts: FilmFacts, sources: Sources, folder: Path) -> Method:
    from smlm_bench.networks import files
    from smlm_bench.networks.runners import DirectOnnxNetwork

    source = files.find_network(network, sources.networks)
    method = DirectOnnxNetwork(files.onnx_network(network, source, folder), facts)
    method.parameters["sha256"] = files.fingerprint(source)
    return method


@contextlib.contextmanager
def _triton(
    network: str, runtime: str, facts: FilmFacts, sources: Sources, folder: Path
) -> Iterator[Method]:
    from smlm_bench.networks import files
    from smlm_bench.networks.runners import TritonNetwork
    from smlm_pipeline.engines.embedded import EmbeddedServer
    from smlm_pipeline.engines.triton.addresses import Servers
    from smlm_pipeline.engines.triton.transport import TritonTransport

    with contextlib.ExitStack() as stack:
        told: dict[str, str] = {}
        if runtime == "server" and sources.server is not None:
            address, ensemble = sources.server, files.ensemble_of(network)
        else:
            source = files.find_network(network, sources.networks)
            repository, ensemble = files.served_repository(network, source, folder)
            address = stack.enter_context(EmbeddedServer(repository)).address
            told = {"sha256": files.fingerprint(source)}
        transport = stack.enter_context(TritonTransport(Servers.parse(address), model=ensemble))
        method = TritonNetwork(transport, facts)
        method.parameters |= told or {"server": f"Triton {transport.status().server_version}"}
        yield method


_SERVED = ("unet", "unet-fast")
"""Of the networks compared by default, those that a server has under their own names."""


@dataclass(frozen=True)
class Choice:
    """Names of methods in their order, and why others are left out, by name."""

    names: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def default_methods() -> list[str]:
    """Names of all that a table has unless some are named."""
    names = list(CLASSICAL_NAMES)
    for network in NETWORKS:
        names += [f"{network}@keras", f"{network}@onnx"]
        if network != "deep-storm":
            names.append(f"{network}@triton")
        if network in _SERVED:
            names.append(f"{network}@server")
    return names


def choose(named: Sequence[str] | None, sources: Sources, note: Callable[[str], None]) -> Choice:
    """The methods that were named, or those of the default that are to be had here.

    Networks and servers are opened, so that nothing is found missing after hours.

    Parameters
    ----------
    named : sequence of str or None
        What the user asks for: if one cannot be had, none is run. None for the default.
    sources : Sources
        Networks and server.
    note : callable
        Told why something is left out.

    Raises
    ------
    SettingError
        If a name is unknown, a network is missing, damaged or another one, or no server
        is given where one is asked.
    ServerError
        If a server does not answer, or the embedded one cannot run here.
    ContractError
        If a network or a server does not fit the contract.
    """
    for name in named or ():
        _check_name(name)
    _check_sources(sources)
    choice = _available(sources) if named is None else Choice(tuple(named))
    by_reason: dict[str, list[str]] = {}
    for name, reason in choice.left_out.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        note(f"left out: {', '.join(names)}; {reason}")
    for name in choice.names:
        _find(name, sources)
    for name in choice.names:
        _open(name, sources)
    _tell_unused(choice.names, sources, note)
    return choice


def _available(sources: Sources) -> Choice:
    """All of the default, but for those of which something is not to be found."""
    reasons = {name: _missing(name, sources) for name in default_methods()}
    return Choice(
        tuple(name for name, reason in reasons.items() if reason is None),
        {name: reason for name, reason in reasons.items() if reason is not None},
    )


def _missing(name: str, sources: Sources) -> str | None:
    try:
        _find(name, sources)
    except (ServerError, SettingError) as error:
        return str(error).replace(f"{name} needs", "needs")
    return None


def _check_sources(sources: Sources) -> None:
    if sources.networks:
        load_tensorflow_quietly()
        from smlm_bench.networks.files import find_network
        from smlm_training.networks import kind_of

        for network in sources.networks:
            kind_of(network)
            find_network(network, sources.networks)


def _check_name(name: str) -> None:
    if name not in CLASSICAL_NAMES and name.partition("@")[2] not in RUNTIMES:
        raise SettingError(
            f"no method is called {name!r}; expected one of {', '.join(CLASSICAL_NAMES)}, or "
            f"NETWORK@RUNTIME with a runtime of {', '.join(RUNTIMES)}"
        )


def _find(name: str, sources: Sources) -> None:
    """Look whether all is there that a method needs."""
    if name in CLASSICAL_NAMES:
        return
    load_tensorflow_quietly()
    from smlm_bench.networks import files
    from smlm_pipeline.engines.triton_wheel import check_platform
    from smlm_training.networks import kind_of

    network, _, runtime = name.partition("@")
    kind_of(network)
    if runtime == "server":
        if sources.server is None:
            raise SettingError(f"{name} needs a server; name one with --server HOST:PORT")
        files.ensemble_of(network)
        return
    files.find_network(network, sources.networks)
    if runtime == "triton":
        check_platform()


def _open(name: str, sources: Sources) -> None:
    """Open a method's network, or ask its server."""
    if name in CLASSICAL_NAMES:
        return
    from smlm_bench.networks import files
    from smlm_bench.networks.files import check_network
    from smlm_pipeline.engines.triton.addresses import Servers
    from smlm_pipeline.engines.triton.transport import TritonTransport

    network, _, runtime = name.partition("@")
    if runtime == "server" and sources.server is not None:
        ensemble = files.ensemble_of(network)
        with TritonTransport(Servers.parse(sources.server), model=ensemble) as transport:
            transport.model_version()
        return
    source = files.find_network(network, sources.networks)
    try:
        check_network(network, runtime, source)
    except ReconError as error:
        raise type(error)(f"{name}: {error}") from error


def _tell_unused(names: Sequence[str], sources: Sources, note: Callable[[str], None]) -> None:
    used = {name.partition("@")[0] for name in names if not name.endswith("@server")}
    for network in sources.networks:
        if network not in used:
            note(f"--network {network}=... is not used: no method of it is compared")
    if sources.server is not None and not any(name.endswith("@server") for name in names):
        note(f"--server {sources.server} is not used: no NETWORK@server is compared")
