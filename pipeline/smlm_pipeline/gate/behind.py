"""The servers behind a gate: those of one network, each with a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.engines.fleet import server_states
from smlm_pipeline.engines.triton.addresses import Address, Servers, look_up
from smlm_pipeline.engines.triton.channel import LOOK_UP_LEAST_MS
from smlm_pipeline.engines.triton.status import ModelStatus, ServerStatus
from smlm_pipeline.engines.triton.tls import ClientTls
from smlm_pipeline.errors import ServerError
from smlm_pipeline.gate.calls import QUESTION_S, TURNS_MOST, Calls
from smlm_pipeline.gate.clients import Client
from smlm_pipeline.gate.files import Fault
from smlm_pipeline.gate.line import Line, Turn

FOLLOW_S, LOST_S = LOOK_UP_LEAST_MS / 1000, 0.5
"""Time between two looks at the servers, and after a connection was lost."""

ABSENT_S = 60.0
"""Time for which no server has the networks of before, after which others take their place; and
after which a gate that could not look at its servers is not ready."""

Networks = tuple[ModelStatus, ...]
"""What a server states of the models that clients may ask."""


class Behind(contextlib.AbstractAsyncContextManager["Behind"]):
    """Lends the servers of one network, the idlest first.

    Every `FOLLOW_S`, and when a connection was lost, the names are looked up and each server is
    asked for its networks. Servers that join or leave are followed; those that are not ready, or
    have other networks than the rest, get no requests. A server whose connection was lost, as by a
    restart with another network, gets none before it was asked again. The first networks stay,
    until no server has had them for `ABSENT_S` and others are ready.

    Parameters
    ----------
    servers : Servers
        Where requests are sent.
    report : callable
        Receives a line for each change.
    renewed : callable
        Returns other certificates for these connections, once they have changed: servers are
        connected to again, and requests under way end on the connections of before.

    Raises
    ------
    ServerError
        At the start, if no name is known.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        report: Callable[[str], None],
        renewed: Callable[[], ClientTls | None] = lambda: None,
    ) -> None:
        self._servers, self._report, self._renewed = servers, report, renewed
        self._known: dict[Address, tuple[Address, ...]] = {}
        self._networks: Networks | None = None
        self._networks_s = self._looked_s = time.monotonic()
        self._left_out: frozenset[Address] = frozenset()
        self._used: dict[Address, Calls] = {}
        self._shown: tuple[Address, ...] | None = None
        self._former: set[Calls] = set()
        self._line = Line(self._has_turn)
        self._lost = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Behind:
        """Look at the servers for the first time, and begin to follow them."""
        numeric = await asyncio.to_thread(self._look_up)
        if not numeric:
            await asyncio.to_thread(self._servers.numeric)  # raises what is wrong
        await self._look(numeric)
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._following is not None:
            self._following.cancel()
        for calls in (*self._used.values(), *self._former):
            await calls.close()

    @contextlib.asynccontextmanager
    async def turn(self, client: Client) -> AsyncIterator[tuple[Calls | None, Turn]]:
        """Lend the idlest server for one request that it is to compute, when it can take one.

        Its queues would refuse more. The turn can be left when it has answered; the server stays
        until the block ends. None is lent where there is no server.
        """
        async with self._line.turn(client) as in_line:
            with self._lent(self._with_room() or self._idlest()) as calls:
                if calls is None:
                    yield None, in_line
                    return
                calls.turns += 1

                def leave() -> None:
                    calls.turns -= 1
                    in_line.leave()

                turn = Turn(leave)
                try:
                    yield calls, turn
                finally:
                    turn.leave()

    @contextlib.contextmanager
    def _lent(self, calls: Calls | None) -> Iterator[Calls | None]:
        """Keep a server for one request, until it has ended."""
        if calls is None:
            yield None
            return
        calls.requests += 1
        try:
            yield calls
        finally:
            calls.requests -= 1
            self._close_unused()

    async def ask(self, name: str, question: bytes) -> bytes | None:
        """Ask one of the servers a question, both encoded; None if there is no server.

        Raises
        ------
        grpc.RpcError
            If it does not answer.
        """
        with self._lent(self._idlest()) as calls:
            if calls is None:
                return None
            return bytes(await calls.questions[name](question, timeout=QUESTION_S))

    async def is_ready(self) -> bool:
        """Whether a server answers that it is ready, and the servers were looked at lately."""
        try:
            answer = await self.ask("ServerReady", b"")
        except grpc.RpcError:
            return False
        if answer is None or time.monotonic() - self._looked_s > ABSENT_S:
            return False
        return bool(service_pb2.ServerReadyResponse.FromString(answer).ready)

    def _idlest(self) -> Calls | None:
        connected = [calls for calls in self._used.values() if calls.is_connected]
        if len(connected) < len(self._used) or not connected:
            self._lost.set()
        return min(connected, key=lambda calls: (calls.is_aside, calls.requests), default=None)

    def _with_room(self) -> Calls | None:
        """The idlest server that can take a request now."""
        able = [calls for calls in self._sound() if calls.turns < calls.turns_most]
        return min(able, key=lambda calls: calls.requests, default=None)

    def _sound(self) -> list[Calls]:
        """Servers that are connected, without those that failed lately if there are others."""
        connected = [calls for calls in self._used.values() if calls.is_connected]
        return [calls for calls in connected if not calls.is_aside] or connected

    def _has_turn(self, _client: Client, turns: int, _own: int) -> bool:
        """Whether a request has nothing to wait for: a server that can take it, or none at all."""
        sound = self._sound()
        return not sound or turns < sum(calls.turns_most for calls in sound)

    async def _follow(self) -> None:
        fault = Fault(self._report)
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._lost.wait(), FOLLOW_S)
                await asyncio.sleep(LOST_S)
            self._lost.clear()
            try:
                self._read_again()
                await self._look(await asyncio.to_thread(self._look_up))
                fault.is_now("")
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may do better
                fault.is_now(f"the servers cannot be looked at: {type(error).__name__}: {error}")

    def _read_again(self) -> None:
        """Take other certificates, if there are any, for the same name as before."""
        tls, before = self._renewed(), self._servers.tls
        if tls is not None and before is not None:
            self._servers = replace(self._servers, tls=replace(tls, server_name=before.server_name))

    def _look_up(self) -> tuple[Address, ...]:
        """The numeric addresses of all servers; of a name that is gone those of before."""
        for address in self._servers.addresses:
            with contextlib.suppress(ServerError):
                self._known[address] = look_up(address)
        return tuple(dict.fromkeys(each for found in self._known.values() for each in found))

    async def _look(self, numeric: tuple[Address, ...]) -> None:
        """Ask the servers at these addresses for their networks, and use those that agree."""
        servers = self._servers.only(*numeric)
        try:
            found = await asyncio.to_thread(
                lambda: server_states(servers, contract.RECONSTRUCTION.name)
            )
        except ServerError:  # none answers
            found = {}
        states = {each: state for each, state in found.items() if isinstance(state, ServerStatus)}
        now_s = self._looked_s = time.monotonic()
        stated = {each: networks_of(state) for each, state in states.items() if state.ready}
        if self._networks in stated.values():
            self._networks_s = now_s
        may_change = self._networks is None or now_s - self._networks_s > ABSENT_S
        used, networks = of_one_network(stated, self._networks, may_change=may_change)
        if self._networks is not None and networks != self._networks:
            self._report(
                f"no server has the networks of before, so requests are sent to {Servers(used)}, "
                "which has others"
            )
            self._networks_s = now_s
        self._networks = networks
        self._report_unlike(frozenset(stated.keys() - set(used)), used)
        silent = frozenset(numeric) - states.keys()
        await self._use(used, silent)
        for address in self._used.keys() & states.keys():
            self._used[address].turns_most = turns_of(states[address])
        self._line.advance()

    def _report_unlike(self, unlike: frozenset[Address], used: tuple[Address, ...]) -> None:
        if unlike - self._left_out:
            than = f"those of {Servers(used)}" if used else "those of before"
            self._report(
                f"{Servers(tuple(sorted(unlike, key=str)))}: other networks than {than}, so no "
                "requests are sent there; start a gate of their own"
            )
        self._left_out = unlike

    async def _use(self, agreeing: tuple[Address, ...], silent: frozenset[Address]) -> None:
        """Connect to the servers that agree, and leave those that do not, or are gone."""
        before = set(self._used)
        for address in before - set(agreeing):
            # One that is silent for a moment keeps its connection, if it still has it.
            if address not in silent or not self._used[address].is_connected:
                self._former.add(self._used.pop(address))
        new = {each: Calls(self._servers.only(each)) for each in agreeing if each not in before}
        self._used |= new
        lost = [self._used[each] for each in agreeing if not self._used[each].is_connected]
        await asyncio.gather(*(calls.connect() for calls in lost), self._renew(agreeing))
        places = tuple(sorted(self._used, key=str))
        if self._shown not in (None, places):
            self._report(f"requests are sent to {Servers(places) if places else 'no server'}")
        self._shown = places
        self._close_unused()

    async def _renew(self, agreeing: tuple[Address, ...]) -> None:
        """Connect with the certificates of now where those of before are in use."""
        outdated = [each for each in agreeing if self._used[each].tls != self._servers.tls]
        renewed = {each: Calls(self._servers.only(each)) for each in outdated}
        await asyncio.gather(*(calls.connect() for calls in renewed.values()))
        self._former |= {self._used[each] for each in outdated}
        self._used |= renewed

    def _close_unused(self) -> None:
        unused = {calls for calls in self._former if not calls.requests}
        self._former -= unused
        for calls in unused:
            _closing.add(task := asyncio.ensure_future(calls.close()))
            task.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()
"""Tasks that close connections: nothing else refers to them."""


def networks_of(state: ServerStatus) -> Networks:
    """What tells the networks of servers apart; how much they can compute at once does not."""
    return tuple(replace(model, request_pixels=None, queue_most=None) for model in state.models)


def turns_of(state: ServerStatus) -> int:
    """How many requests a server can have to compute, none of which its queues refuse.

    All may wait for one of its models at the same time; one more is in work.
    """
    bounds = [model.queue_most + 1 for model in state.models if model.queue_most is not None]
    return min([*bounds, TURNS_MOST])


def of_one_network(
    stated: Mapping[Address, Networks], known: Networks | None, *, may_change: bool
) -> tuple[tuple[Address, ...], Networks | None]:
    """Choose the servers that requests are sent to.

    Parameters
    ----------
    stated : mapping
        The networks of each server that is ready.
    known : tuple or None
        The networks that requests were sent to before.
    may_change : bool
        Whether others may take their place, if no server has them.

    Returns
    -------
    tuple
        The servers of the known networks, or if there is none, of those that most have; and
        these networks.
    """
    if stated and known not in stated.values() and may_change:
        each = list(stated.values())
        known = max(each, key=each.count)
    return tuple(address for address in stated if stated[address] == known), known
