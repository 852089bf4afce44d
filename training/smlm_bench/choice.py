"""The methods of a table: those that the user names, or all that are available here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from smlm_bench.baselines.picasso.process import find_python
from smlm_bench.catalogue import Sources
from smlm_bench.console import load_tensorflow_quietly
from smlm_bench.method import (
    CLASSICAL_NAMES,
    NETWORKS,
    PICASSO,
    REFINED,
    REFINING_RUNTIMES,
    RUNTIMES,
    NetworkMethod,
)
from smlm_bench.networks import places
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.engines.triton_wheel import check_platform
from smlm_pipeline.errors import ReconError, ServerError, SettingError

with imported_when_used():  # methods without a network load no TensorFlow
    from smlm_bench.networks import checks, loading

_SERVED = ("unet", "unet-fast")
"""Networks of the default comparison that a server has under their own names."""


@dataclass(frozen=True)
class Choice:
    """Names of methods in their order, and the reason for each that is left out, by name."""

    names: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def default_methods() -> list[str]:
    """List the methods of a table for which the user names none."""
    names = list(CLASSICAL_NAMES)
    for network in NETWORKS:
        names += [f"{network}@keras", f"{network}@onnx"]
        if network != "deep-storm":
            names.append(f"{network}@triton")
        if network in _SERVED:
            names += [f"{network}{REFINED}@triton", f"{network}@server"]
    return names


def choose(named: Sequence[str] | None, sources: Sources, note: Callable[[str], None]) -> Choice:
    """Choose the named methods, or those of the default that are available here.

    Networks and servers are opened now, so that none turns out to be missing after hours.

    Parameters
    ----------
    named : sequence of str or None
        Methods that the user names: if one is not available, none is run. None for the default.
    sources : Sources
        Networks and server.
    note : callable
        Receives a line about what is left out or not used.

    Returns
    -------
    Choice
        The methods.

    Raises
    ------
    SettingError
        If a name is unknown, a network is missing, damaged or another one, or a method needs a
        server and none is given.
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
    _note_unused(choice.names, sources, note)
    return choice


def _available(sources: Sources) -> Choice:
    """Choose the default methods of which nothing is missing."""
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
    for network in sources.networks:
        loading.answer_of(network)
        places.find_network(network, sources.networks)


def _check_name(name: str) -> None:
    if name in CLASSICAL_NAMES:
        return
    named = NetworkMethod.of(name)
    if named.runtime not in RUNTIMES:
        raise SettingError(
            f"no method is called {name!r}; expected one of {', '.join(CLASSICAL_NAMES)}, or "
            f"NETWORK@RUNTIME with a runtime of {', '.join(RUNTIMES)}"
        )
    if named.refined and named.runtime not in REFINING_RUNTIMES:
        raise SettingError(
            f"{name} cannot be: the client alone refines; expected {named.network}{REFINED}@ with "
            f"a runtime of {', '.join(REFINING_RUNTIMES)}"
        )


def _find(name: str, sources: Sources) -> None:
    """Check that everything exists that a method needs."""
    if name == PICASSO:
        find_python(sources.picasso_python)
    if name in CLASSICAL_NAMES:
        return
    load_tensorflow_quietly()
    named = NetworkMethod.of(name)
    network, runtime = named.network, named.runtime
    answer = loading.answer_of(network)
    if named.refined and answer.makes_maps:
        raise SettingError(f"{name} cannot be: maps, as {network} answers with, are not refined")
    if runtime == "server":
        if sources.server is None:
            raise SettingError(f"{name} needs a server; name one with --server HOST:PORT")
        places.ensemble_of(network)
        return
    if named.by_client:
        places.ensemble_of(network)
        if network in sources.networks:
            raise SettingError(
                f"{name} needs the network of the model repository, with its card; expected no "
                f"--network {network}=...: 'recon-train publish' puts a network there"
            )
    places.find_network(network, sources.networks)
    if runtime == "triton":
        check_platform()


def _open(name: str, sources: Sources) -> None:
    """Open a method's network, or ask its server for its version."""
    if name in CLASSICAL_NAMES:
        return
    named = NetworkMethod.of(name)
    network, runtime = named.network, named.runtime
    if runtime == "server" and sources.server is not None:
        ensemble = places.ensemble_of(network)
        with TritonTransport(Servers.parse(sources.server), model=ensemble) as transport:
            transport.served_network()
        return
    source = places.find_network(network, sources.networks)
    try:
        checks.check_network(network, runtime, source)
    except ReconError as error:
        raise type(error)(f"{name}: {error}") from error


def _note_unused(names: Sequence[str], sources: Sources, note: Callable[[str], None]) -> None:
    used = {NetworkMethod.of(name).network for name in names if not name.endswith("@server")}
    for network in sources.networks:
        if network not in used:
            note(f"--network {network}=... is not used: no method of it is compared")
    if sources.server is not None and not any(name.endswith("@server") for name in names):
        note(f"--server {sources.server} is not used: no NETWORK@server is compared")
    if sources.picasso_python is not None and PICASSO not in names:
        note(f"--picasso-python {sources.picasso_python} is not used: {PICASSO} is not compared")
