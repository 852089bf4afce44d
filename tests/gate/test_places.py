"""Places of a gate: each client gets its share, and none keeps others out."""

from __future__ import annotations

import asyncio

import pytest

from smlm_pipeline.gate.clients import Client, Limits
from smlm_pipeline.gate.connections import Peer, surplus
from smlm_pipeline.gate.places import NoPlaceError, Place, Places, Receptions

LIMITS = Limits(16, 100, 1 << 20, 10.0)


def _clients(count: int) -> list[Client]:
    return [Client(f"client {number}", LIMITS) for number in range(count)]


class _Held:
    """Work that does not end, and whose each client lost its place."""

    def __init__(self, places: Places) -> None:
        self.places, self.lost = places, list[str]()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, client: Client, *, keeps: bool = False) -> None:
        async def work(place: Place) -> None:
            if keeps:
                place.keep()
            await asyncio.Event().wait()

        async def hold() -> None:
            try:
                await self.places.held(client, work)
            except NoPlaceError:
                self.lost.append(client.name)

        self._tasks.append(asyncio.create_task(hold()))
        await asyncio.sleep(0.01)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _message(_place: Place) -> str:
    return "message"


def test_a_client_that_has_the_most_loses_its_newest_place() -> None:
    async def check() -> None:
        held, (much, little, third) = _Held(Places(4)), _clients(3)
        for client in (much, much, much, much, little, little, much):
            await held.begin(client)
        # It has four, then three, which are not more than twice as many as two.
        assert held.lost == [much.name, little.name, much.name]
        assert held.places.has_room(third, 0, 0)
        assert not held.places.has_room(third, 0, 1)
        async with asyncio.timeout(1):
            assert await held.places.held(third, _message) == "message"
        assert held.lost[3:] == [much.name], "the newest"
        await held.leave()

    asyncio.run(check())


def test_what_is_kept_is_not_lost() -> None:
    async def check() -> None:
        held, (much, little, third) = _Held(Places(5)), _clients(3)
        for _ in range(3):
            await held.begin(much, keeps=True)
        for _ in range(2):
            await held.begin(little)
        async with asyncio.timeout(1):
            assert await held.places.held(third, _message) == "message"
        assert held.lost == [little.name]
        await held.begin(third)
        assert not held.places.has_room(_clients(1)[0], 0, 0)
        await held.leave()
        assert held.places.has_room(third, 4, 1)
        assert not held.places.has_room(third, 5, 1)

    asyncio.run(check())


def test_an_error_of_the_work_is_its_own() -> None:
    async def fails(_place: Place) -> None:
        raise ValueError("of the work")

    async def check() -> None:
        places, (client,) = Places(1), _clients(1)
        for _ in range(2):
            with pytest.raises(ValueError, match="of the work"):
                await places.held(client, fails)

    asyncio.run(check())


def test_a_reception_yields_to_a_client_with_fewer() -> None:
    async def check() -> None:
        held, (much, little, third) = _Held(Receptions(4, sure_s=60)), _clients(3)
        for client in (much, much, much, much, little, little, little, much):
            await held.begin(client)
        # The first one has four, then three, then two; now each has its half.
        assert held.lost == [much.name, much.name, little.name, much.name]
        async with asyncio.timeout(1):
            assert await held.places.held(third, _message) == "message"
        assert len(held.lost) == 5
        await held.leave()

    asyncio.run(check())


def test_clients_that_receive_nothing_wait_for_the_oldest() -> None:
    async def check() -> None:
        held, (first, second, third, fourth) = _Held(Receptions(2, sure_s=0.2)), _clients(4)
        for client in (first, second):
            await held.begin(client)
        waiting = asyncio.create_task(held.places.held(third, _message))
        await asyncio.sleep(0.01)
        await held.begin(third)
        await held.begin(second)
        # One that waits or receives has no second one.
        assert held.lost == [third.name, second.name]
        behind = asyncio.create_task(held.places.held(fourth, _message))
        async with asyncio.timeout(10):
            assert (await waiting, await behind) == ("message", "message")
        assert held.lost[2:] == [first.name]
        await held.leave()

    asyncio.run(check())


def test_a_place_is_free_when_a_message_came_or_its_client_is_gone() -> None:
    async def check() -> None:
        held, (first, second) = _Held(Receptions(1, sure_s=60)), _clients(2)
        await held.begin(first)
        waiting = asyncio.create_task(held.places.held(second, _message))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await held.leave()
        async with asyncio.timeout(1):
            assert await waiting == "message"
            assert await held.places.held(first, _message) == "message"
        assert not held.lost

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
