"""Opens the engine that a user asked for: embedded server, server elsewhere, or local.

The engines' modules are imported only when one is opened: they need packages
that not every installation has, and ``--help`` should not wait for them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from smlm_pipeline import addresses, canary, contract
from smlm_pipeline.addresses import Address
from smlm_pipeline.canary import Canary
from smlm_pipeline.errors import ContractError, ServerError, SettingError
from smlm_pipeline.repository import find_model_repository, network_file
from smlm_pipeline.settings import Settings
from smlm_pipeline.transport import Transport

if TYPE_CHECKING:
    from smlm_pipeline.triton import ServerStatus


_Answer = TypeVar("_Answer")

ASKED_AT_ONCE = 16
"""Servers that are asked at the same time: one that is silent takes seconds."""


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
    from smlm_pipeline.triton import TritonTransport

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
    from smlm_pipeline.server import EmbeddedServer

    repository = find_model_repository(model_repository)
    with (
        EmbeddedServer(repository) as server,
        server_engine(server.address, model, timeout_s=timeout_s) as engine,
    ):
        if model in contract.STEPS:
            file = network_file(repository, contract.STEPS[model][1].name)
            engine = replace(engine, network_sha256=_sha256(file))
        yield engine


def server_states(address: str, model: str) -> dict[str, ServerStatus | ServerError]:
    """What each server says of itself and of the models of this client, for one that is asked.

    Raises
    ------
    SettingError
        If the address is none.
    ServerError
        If no server answers.
    """
    asked = _endpoints(addresses.parse(address))
    told, silent = _ask_each(asked, lambda each: _status(each, model))
    return {str(each): told[each] if each in told else silent[each] for each in asked}


def unlike_networks(
    versions: Mapping[Address, str] | Mapping[str, str | None], model: str
) -> ContractError | None:
    """Why servers with these versions, by their addresses, would sum what several networks find."""
    if len(set(versions.values())) <= 1:
        return None
    served = ", ".join(f"{each} has version {version}" for each, version in versions.items())
    return ContractError(
        f"servers have different networks for {model!r}: {served}; expected one for the whole "
        "image: start them on the same model repository, or leave some out of --server"
    )


def server_canary(address: str, model: str) -> Canary:
    """What a server makes of one frame with one molecule.

    Raises
    ------
    ReconError
        If it does not answer, or does not find it.
    """
    with server_engine(address, model) as engine:
        return canary.ask(engine.transport)


def _endpoints(asked: Sequence[Address]) -> Sequence[Address]:
    """Where to ask: a list as it is, and of a single name all servers that it stands for."""
    if len(asked) > 1:
        return asked
    found = addresses.look_up(asked[0])
    return found if addresses.count_servers(found) > 1 else asked


def _ask_each(
    asked: Sequence[Address], question: Callable[[Address], _Answer]
) -> tuple[dict[Address, _Answer], dict[Address, ServerError]]:
    """The answers of all, and why the others did not; at least one has to answer."""

    def ask(address: Address) -> _Answer | ServerError:
        try:
            return question(address)
        except ServerError as error:
            return error

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        told = dict(zip(asked, pool.map(ask, asked), strict=True))
    silent = {each: said for each, said in told.items() if isinstance(said, ServerError)}
    answers = {each: said for each, said in told.items() if not isinstance(said, ServerError)}
    if not answers and len(asked) == 1:
        raise silent[asked[0]]
    if not answers:
        raise ServerError(
            f"none of {addresses.named(asked)} answers; the first: {silent[asked[0]]}"
        )
    return answers, silent


def _check_unchanged(used: Sequence[Address], model: str, version: str) -> None:
    """Answers do not tell which network they are of: servers may have been renewed meanwhile."""
    try:
        versions, _ = _ask_each(_endpoints(used), lambda each: _version(each, model))
    except ServerError:
        return  # all have gone since; what they answered is whole
    changed = {each: now for each, now in versions.items() if now != version}
    if changed:
        told = ", ".join(f"{each} has version {now}" for each, now in changed.items())
        raise ContractError(
            f"servers went over to another network for {model!r} during the run, which began with "
            f"version {version}: {told}; expected one for the whole image: submit the film again, "
            "with --overwrite"
        )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _going_on(left_out: Sequence[Address], used: Sequence[Address]) -> str:
    return (
        f"no answer from {addresses.named(left_out)}; going on with {addresses.named(used)} "
        "(see 'recon-client status')"
    )


def _version(address: Address, model: str) -> str:
    from smlm_pipeline.triton import TritonTransport

    with TritonTransport(str(address), model=model) as transport:
        return transport.model_version()


def _status(address: Address, model: str) -> ServerStatus:
    from smlm_pipeline.triton import TritonTransport

    with TritonTransport(str(address), model=model) as transport:
        return transport.status()
