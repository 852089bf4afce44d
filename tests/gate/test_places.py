"""Places of a gate: each client gets its share, and none keeps others out."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from smlm_pipeline.gate.clients import Client, Limits
from smlm_pipeline.gate.connections import Peer, surplus
from smlm_pipeline.gate.places import NoPlaceError, Places, Receptions

LIMITS = Limits(16, 100, 1 << 20, 10.0)


def _clients(count: int) -> list[Client]:
    return [Client(f"client {number}", LIMITS) for number in range(count)]


def _taken(places: Places, client: Client, held: contextlib.ExitStack) -> int:
    """How many places a client gets."""
    count = 0
    with contextlib.suppress(NoPlaceError):
        while True:
            held.enter_context(places.held(client))
            count += 1
    return count


def test_one_that_has_none_finds_a_place() -> None:
    places = Places(64)
    with contextlib.ExitStack() as held:
        got = [_taken(places, client, held) for client in _clients(7)]
        assert got == [32, 16, 8, 4, 2, 1, 1]
        with pytest.raises(NoPlaceError):
            places.check(_clients(1)[0])
    with contextlib.ExitStack() as held:
        assert _taken(places, _clients(1)[0], held) == 32, "all are free again"


def test_shares_become_equal_while_places_change_hands() -> None:
    places, clients = Places(64), _clients(2)
    held: dict[Client, list[contextlib.ExitStack]] = {client: [] for client in clients}

    def take_all(client: Client) -> None:
        with contextlib.suppress(NoPlaceError):
            while True:
                with contextlib.ExitStack() as stack:
                    stack.enter_context(places.held(client))
                    held[client].append(stack.pop_all())

    take_all(clients[0])
    assert len(held[clients[0]]) == 32
    for _ in range(100):  # one request of each is answered, and each asks for all that it can get
        for client in clients:
            if held[client]:
                held[client].pop().close()
        for client in reversed(clients):
            take_all(client)
    first, second = (len(held[client]) for client in clients)
    assert abs(first - second) <= 1, (first, second)
    for stack in (*held[clients[0]], *held[clients[1]]):
        stack.close()


class _Stopped:
    """Receptions whose messages do not come, and how each ended."""

    def __init__(self, most: int, sure_s: float) -> None:
        self.receptions, self.ended = Receptions(most, sure_s=sure_s), list[str]()

    async def begin(self, client: Client) -> None:
        async def receive() -> None:
            try:
                await self.receptions.received(client, asyncio.Event().wait)
            except NoPlaceError:
                self.ended.append(client.name)

        self.tasks = [*getattr(self, "tasks", []), asyncio.create_task(receive())]
        await asyncio.sleep(0.01)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _message() -> str:
    return "message"


def test_a_reception_yields_to_a_client_with_fewer() -> None:
    async def check() -> None:
        stopped, (much, little, third) = _Stopped(4, 60), _clients(3)
        for client in (much, much, much, much, little, little, little, much):
            await stopped.begin(client)
        # The first one has four, then three, then two; now each has its half.
        assert stopped.ended == [much.name, much.name, little.name, much.name]
        async with asyncio.timeout(1):
            assert await stopped.receptions.received(third, _message) == "message"
        assert len(stopped.ended) == 5
        await stopped.leave()

    asyncio.run(check())


def test_clients_that_receive_nothing_wait_for_the_oldest() -> None:
    async def check() -> None:
        stopped, (first, second, third, fourth) = _Stopped(2, 0.2), _clients(4)
        for client in (first, second):
            await stopped.begin(client)
        waiting = asyncio.create_task(stopped.receptions.received(third, _message))
        await asyncio.sleep(0.01)
        await stopped.begin(third)
        await stopped.begin(second)
        # One that waits or receives has no second one.
        assert stopped.ended == [third.name, second.name]
        behind = asyncio.create_task(stopped.receptions.received(fourth, _message))
        async with asyncio.timeout(10):
            assert (await waiting, await behind) == ("message", "message")
        assert stopped.ended[2:] == [first.name]
        await stopped.leave()

    asyncio.run(check())


def test_a_place_is_free_when_a_message_came_or_its_client_is_gone() -> None:
    async def check() -> None:
        stopped, (first, second) = _Stopped(1, 60), _clients(2)
        await stopped.begin(first)
        waiting = asyncio.create_task(stopped.receptions.received(second, _message))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await stopped.leave()
        async with asyncio.timeout(1):
            assert await waiting == "message"
            assert await stopped.receptions.received(first, _message) == "message"
        assert not stopped.ended

    asyncio.run(check())


@pytest.mark.parametrize(
    ("text", "peer", "site"),
    [
        ("ipv4:10.0.0.1:5000", Peer("10.0.0.1", 5000), "10.0.0.1"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:5000", Peer("10.0.0.1", 5000), "10.0.0.1"),
        ("ipv6:%5B2001:db8:0:1::7%5D:80", Peer("2001:db8:0:1::7", 80), "2001:db8:0:1::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:80", Peer("fe80::1", 80), "fe80::/64"),
    ],
)
def test_peers(text: str, peer: Peer, site: str) -> None:
    assert Peer.of_grpc(text) == peer
    assert peer.site == site


def test_a_peer_without_a_port() -> None:
    assert Peer.of_grpc("unix:/run/gate") is None


def test_idle_connections_of_who_has_the_most_are_ended() -> None:
    many = [Peer("10.0.0.1", port) for port in range(6)]
    few = [Peer("10.0.0.2", port) for port in range(2)]
    assert surplus([*few, *many], [], kept=8) == []
    assert surplus([*few, *many], [], kept=4) == many[:4], "the oldest"
    assert surplus([*few, *many], many[:2], kept=4) == many[2:6]
    assert surplus([*few, *many], [*many, *few], kept=4) == [], "all are busy"
    assert surplus([*few, *many], many, kept=6) == few, "no one else is idle"
    assert surplus([Peer(f"2001:db8::{port}", port) for port in range(3)] + few, [], kept=4) == [
        Peer("2001:db8::0", 0)
    ], "a network of IPv6 is one client"
