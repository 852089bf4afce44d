"""Several servers of one network: ask each, and check that they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from smlm_pipeline.engines.triton import addresses
from smlm_pipeline.engines.triton.addresses import Address
from smlm_pipeline.errors import ContractError, ServerError

if TYPE_CHECKING:
    from smlm_pipeline.engines.triton.transport import ServerStatus


_Answer = TypeVar("_Answer")


ASKED_AT_ONCE = 16
"""Servers that are asked at the same time: one that is silent takes seconds."""


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


def _going_on(left_out: Sequence[Address], used: Sequence[Address]) -> str:
    return (
        f"no answer from {addresses.named(left_out)}; going on with {addresses.named(used)} "
        "(see 'recon-client status')"
    )


def _version(address: Address, model: str) -> str:
    from smlm_pipeline.engines.triton.transport import TritonTransport

    with TritonTransport(str(address), model=model) as transport:
        return transport.model_version()


def _status(address: Address, model: str) -> ServerStatus:
    from smlm_pipeline.engines.triton.transport import TritonTransport

    with TritonTransport(str(address), model=model) as transport:
        return transport.status()
