"""The servers behind a gate: those of one network, and the channel to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.engines.fleet import server_states
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.channel import LOOK_UP_LEAST_MS, channel_arguments
from smlm_pipeline.engines.triton.credentials import credentials_of
from smlm_pipeline.engines.triton.status import ModelStatus, ServerStatus
from smlm_pipeline.errors import ServerError
from smlm_pipeline.gate.requests import ANSWER_BYTES_MOST

SERVICE = "/inference.GRPCInferenceService/"

QUESTIONS = (
    *("ServerLive", "ServerReady", "ServerMetadata"),
    *("ModelReady", "ModelMetadata", "ModelConfig"),
)
"""Methods of Triton, beside ``ModelInfer``, that clients may call; no other one exists here."""

QUESTION_S = 5.0
"""Longest wait for the answer to a question."""

FOLLOW_S = LOOK_UP_LEAST_MS / 1000
"""Time between two looks at the servers."""

Networks = tuple[ModelStatus, ...]
"""What a server states of the models that clients may ask."""

_Answer = TypeVar("_Answer")


class Calls:
    """Triton's calls on one channel, whose messages are bytes.

    Parameters
    ----------
    servers : Servers
        Numeric addresses, which requests reach in turn.
    """

    def __init__(self, servers: Servers) -> None:
        self.requests = 0
        target, server_count = servers.connection()
        limit = ("grpc.max_receive_message_length", ANSWER_BYTES_MOST)
        arguments = [*dict([*channel_arguments(target, server_count), limit]).items()]
        if servers.tls is None:
            self._channel = grpc.aio.insecure_channel(target, options=arguments)
        else:
            credentials, named = credentials_of(servers.tls)
            self._channel = grpc.aio.secure_channel(target, credentials, [*arguments, *named])
        self.infer = self._channel.stream_stream(f"{SERVICE}ModelInfer")
        self.questions = {name: self._channel.unary_unary(SERVICE + name) for name in QUESTIONS}

    async def close(self) -> None:
        """Close the channel; what is under way on it ends."""
        await self._channel.close()


class Behind(contextlib.AbstractAsyncContextManager["Behind"]):
    """Lends the channel to the servers of one network, and keeps it up to date.

    Every `FOLLOW_S` the names are looked up and each server is asked for its networks. Servers
    that join or leave are followed; those that are not ready, or have other networks than the
    rest, get no requests. The first networks stay, until no server has them and others are ready.

    Parameters
    ----------
    servers : Servers
        Where requests are sent.
    report : callable
        Receives a line for each change.

    Raises
    ------
    ServerError
        At the start, if a name is not known.
    """

    def __init__(self, servers: Servers, *, report: Callable[[str], None]) -> None:
        self._servers, self._report = servers, report
        self._addresses: tuple[Address, ...] = ()
        self._networks: Networks | None = None
        self._left_out: frozenset[Address] = frozenset()
        self._calls: Calls
        self._former: set[Calls] = set()
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Behind:
        """Look at the servers for the first time, and begin to follow them."""
        numeric = await _in_thread(self._servers.numeric)
        self._take(tuple(numeric))
        await self._look(numeric)
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all channels."""
        if self._following is not None:
            self._following.cancel()
        for calls in (self._calls, *self._former):
            await calls.close()

    @contextlib.contextmanager
    def lent(self) -> Iterator[Calls]:
        """Lend the channel of now for one request; it stays open until that has ended."""
        calls = self._calls
        calls.requests += 1
        try:
            yield calls
        finally:
            calls.requests -= 1
            self._close_unused()

    async def ask(self, name: str, question: bytes) -> bytes:
        """Ask one of the servers a question, both encoded.

        Raises
        ------
        grpc.RpcError
            If none answers.
        """
        with self.lent() as calls:
            return bytes(await calls.questions[name](question, timeout=QUESTION_S))

    async def is_ready(self) -> bool:
        """Whether a server answers that it is ready."""
        try:
            answer = await self.ask("ServerReady", b"")
        except grpc.RpcError:
            return False
        return bool(service_pb2.ServerReadyResponse.FromString(answer).ready)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            with contextlib.suppress(ServerError):  # the name is gone; its servers may not be
                await self._look(await _in_thread(self._servers.numeric))

    async def _look(self, numeric: Collection[Address]) -> None:
        """Ask the servers at these addresses for their networks, and use those that agree."""
        servers = self._servers.only(*numeric)
        try:
            states = await _in_thread(lambda: server_states(servers, contract.RECONSTRUCTION.name))
        except ServerError:  # none answers; gRPC tries all that it has again
            return
        stated = {
            address: networks_of(state)
            for address, state in states.items()
            if isinstance(state, ServerStatus) and state.ready
        }
        used, self._networks = of_one_network(stated, self._networks)
        unlike = frozenset(stated.keys() - set(used))
        if unlike - self._left_out:
            self._report(
                f"{Servers(tuple(sorted(unlike, key=str)))}: other networks than those of "
                f"{Servers(used)}, so no requests are sent there; start a gate of their own"
            )
        self._left_out = unlike
        if used and set(used) != set(self._addresses):
            self._report(f"requests are sent to {Servers(used)}")
            self._take(used)

    def _take(self, addresses: tuple[Address, ...]) -> None:
        """Send the next requests to these; those under way keep their channel."""
        if self._addresses:
            self._former.add(self._calls)
        self._addresses, self._calls = addresses, Calls(self._servers.only(*addresses))
        self._close_unused()

    def _close_unused(self) -> None:
        unused = {calls for calls in self._former if not calls.requests}
        self._former -= unused
        for calls in unused:
            _closing.add(task := asyncio.ensure_future(calls.close()))
            task.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()
"""Tasks that close channels: nothing else refers to them."""


def networks_of(state: ServerStatus) -> Networks:
    """What tells the networks of servers apart; how much they can compute at once does not."""
    return tuple(replace(model, request_pixels=None) for model in state.models)


def of_one_network(
    stated: Mapping[Address, Networks], known: Networks | None
) -> tuple[tuple[Address, ...], Networks | None]:
    """Choose the servers that requests are sent to.

    Parameters
    ----------
    stated : mapping
        The networks of each server that is ready.
    known : tuple or None
        The networks that requests were sent to before.

    Returns
    -------
    tuple
        The servers of the known networks, or if there is none, of those that most have; and
        these networks.
    """
    if stated and known not in stated.values():
        each = list(stated.values())
        known = max(each, key=each.count)
    return tuple(address for address in stated if stated[address] == known), known


async def _in_thread(question: Callable[[], _Answer]) -> _Answer:
    """Ask what takes time, such as a look-up of a name."""
    asked: Awaitable[_Answer] = asyncio.to_thread(question)
    return await asked
