"""Several servers of one network: ask each for its state, and check that they agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from smlm_pipeline import contract
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.status import ServedNetwork, ServerStatus
from smlm_pipeline.engines.triton.tls_faults import tls_fault
from smlm_pipeline.errors import ContractError, ServerError, ServerFullError
from smlm_pipeline.settings import Settings

if TYPE_CHECKING:
    from smlm_pipeline.engines.triton.transport import TritonTransport

ASKED_AT_ONCE = 16
"""Servers that are asked at the same time: a silent one takes seconds."""

_Answer = TypeVar("_Answer")
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Fleet:
    """Servers that serve the same version of the network of a model.

    ``left_out`` are those that did not answer at the start. ``request_pixels`` is the number that
    suits all of them, ``class_borders_px`` and ``trained_ranges`` what all of them state; see
    `ServedNetwork`.
    """

    servers: Servers
    model: str
    version: str
    left_out: tuple[Address, ...] = ()
    request_pixels: int | None = None
    class_borders_px: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    trained_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, servers: Servers, model: str) -> Fleet:
        """Ask all servers; those that do not answer are left out if there are others.

        Raises
        ------
        ServerError
            If no server answers.
        ContractError
            If one serves another contract, or they serve several versions.
        """
        networks, errors = _ask_each(
            servers.endpoints(), lambda address: _network(servers.only(address), model)
        )
        versions = {address: network.version for address, network in networks.items()}
        if unlike := unlike_networks(versions, model):
            raise unlike
        answering = tuple(address for address in servers.addresses if address not in errors)
        left_out = tuple(address for address in servers.addresses if address in errors)
        budgets = [network.request_pixels for network in networks.values()]
        smallest = min((each for each in budgets if each is not None), default=None)
        version = next(iter(versions.values()))
        borders_px = _shared([network.class_borders_px for network in networks.values()])
        ranges = _shared([network.trained_ranges for network in networks.values()])
        running = servers.only(*answering) if left_out else servers
        return cls(running, model, version, left_out, smallest, borders_px, ranges)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: the servers that were left out."""
        if not self.left_out:
            return ()
        return (
            f"no answer from {Servers(self.left_out)}; continuing with {self.servers} "
            "(see 'recon-client status')",
        )

    def check_unchanged(self) -> None:
        """Check that all servers have the version of the start: their answers do not state theirs.

        A server that has joined a name since is asked too.

        Raises
        ------
        ContractError
            If one has not.
        ServerFullError
            If one is too busy to answer.
        """
        try:
            networks, errors = _ask_each(
                self.servers.endpoints(),
                lambda address: _network(self.servers.only(address), self.model),
            )
        except ServerFullError:
            raise
        except ServerError:
            return  # all have ended since; their answers are whole
        if busy := _busy(errors):
            raise busy
        changed = [
            f"{address} has version {network.version}"
            for address, network in networks.items()
            if network.version != self.version
        ]
        if changed:
            raise ContractError(
                f"servers switched to another network for {self.model!r} or joined with one during "
                f"the run, which began with version {self.version}: {', '.join(changed)}; expected "
                "one for the whole image: submit the film again, with --overwrite"
            )


def server_states(servers: Servers, model: str) -> dict[Address, ServerStatus | ServerError]:
    """Ask each server for its state, or find out why it does not answer.

    Raises
    ------
    ServerError
        If no server answers.
    """
    addresses = servers.endpoints()  # once: a name may stand for other servers the next time
    states, errors = _ask_each(addresses, lambda address: _status(servers.only(address), model))
    return {address: states.get(address) or errors[address] for address in addresses}


def unlike_networks(versions: Mapping[Address, str | None], model: str) -> ContractError | None:
    """Return the error of servers whose versions of a network differ, or None."""
    if len(set(versions.values())) <= 1:
        return None
    served = ", ".join(f"{address} has version {version}" for address, version in versions.items())
    return ContractError(
        f"servers have different networks for {model!r}: {served}; expected one for the whole "
        "image: start them on the same model repository, or leave some out of --server"
    )


def is_ready(server: Servers) -> bool:
    """Whether a server answers that it and all its models are ready."""
    with connect(server, contract.RECONSTRUCTION.name) as transport:
        try:
            return transport.is_ready()
        except ServerError:
            return False


def connect(
    servers: Servers, model: str, *, timeout_s: float = Settings.timeout_s
) -> TritonTransport:
    """Open a channel to all servers."""
    # gRPC takes a third of a second to load, and only a command that needs a server waits for it.
    from smlm_pipeline.engines.triton.transport import TritonTransport

    return TritonTransport(servers, model=model, timeout_s=timeout_s)


def _shared(stated: Sequence[Mapping[_Key, _Value]]) -> Mapping[_Key, _Value]:
    """What all servers state; empty where they differ."""
    first, *others = stated
    return first if all(each == first for each in others) else {}


def _ask_each(
    addresses: Sequence[Address], question: Callable[[Address], _Answer]
) -> tuple[dict[Address, _Answer], dict[Address, ServerError]]:
    """Collect the answers of all, and the errors of the others; at least one has to answer."""

    def ask(address: Address) -> _Answer | ServerError:
        try:
            return question(address)
        except ServerError as error:
            return error

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        results = dict(zip(addresses, pool.map(ask, addresses), strict=True))
    errors = {key: value for key, value in results.items() if isinstance(value, ServerError)}
    answers = {key: value for key, value in results.items() if not isinstance(value, ServerError)}
    if not answers and len(addresses) == 1:
        raise errors[addresses[0]]
    if not answers and (busy := _busy(errors)):
        raise busy
    if not answers:
        raise ServerError(
            f"none of {Servers(tuple(addresses))} answers; the first: {errors[addresses[0]]}"
        )
    return answers, errors


def _busy(errors: Mapping[Address, ServerError]) -> ServerFullError | None:
    return next((each for each in errors.values() if isinstance(each, ServerFullError)), None)


def _network(server: Servers, model: str) -> ServedNetwork:
    with _explained(server), connect(server, model) as transport:
        return transport.served_network()


def _status(server: Servers, model: str) -> ServerStatus:
    with _explained(server), connect(server, model) as transport:
        return transport.status()


@contextlib.contextmanager
def _explained(server: Servers) -> Iterator[None]:
    """Raise what is wrong with TLS, if something is: gRPC reports no more than a lost connection.

    With TLS it is looked for before, since gRPC would write to standard error.
    """
    (address,) = server.addresses
    fault = None if server.tls is None else tls_fault(address, server.tls)
    try:
        if fault is None:
            yield
            return
    except ServerError:
        fault = tls_fault(address, server.tls)
        if fault is None:
            raise
    raise ServerError(f"no connection to {address}: {fault}")
