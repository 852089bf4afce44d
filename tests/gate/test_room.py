"""Room in memory: as much as there is, in the order of those who ask."""

from __future__ import annotations

import asyncio

from smlm_pipeline.gate.clients import Client, Limits
from smlm_pipeline.gate.room import Room

LIMITS = Limits(16, 100, 1 << 20, 10.0)


def _client(name: str = "ada") -> Client:
    return Client(name, LIMITS)


def test_as_much_as_there_is_in_turn() -> None:
    held: list[str] = []

    async def hold(room: Room, name: str, size_bytes: int, let_go: asyncio.Event) -> None:
        async with room.held(_client(), size_bytes):
            held.append(name)
            await let_go.wait()

    async def check() -> None:
        room, first, later = Room(10), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(hold(room, "a", 6, first))]
        for name, size_bytes in (("all", 10), ("small", 1)):
            tasks.append(asyncio.create_task(hold(room, name, size_bytes, later)))
        await asyncio.sleep(0.01)
        assert held == ["a"]  # the small one does not overtake
        first.set()
        await asyncio.sleep(0.01)
        assert held == ["a", "all"]
        later.set()
        await asyncio.gather(*tasks)
        assert held == ["a", "all", "small"]

    asyncio.run(check())


def test_a_client_overtakes_another_that_has_its_share() -> None:
    """However long the other one keeps what it has."""

    async def check() -> None:
        room, much, little = Room(10), _client(), _client("bob")
        async with room.held(much, 4):
            waiting = asyncio.create_task(room.held(much, 4).__aenter__())
            await asyncio.sleep(0.01)
            async with asyncio.timeout(1), room.held(little, 3):
                await asyncio.sleep(0.01)
                assert not waiting.done()  # 8 would leave 2
        async with asyncio.timeout(1):
            await waiting

    asyncio.run(check())


def test_what_is_not_needed_is_given_back() -> None:
    async def check() -> None:
        room = Room(10)
        async with room.held(_client(), 10) as share:
            share.shrink(4)
            share.shrink(7)  # it does not grow again
            async with asyncio.timeout(1), room.held(_client(), 6):
                pass
        async with asyncio.timeout(1), room.held(_client(), 10):
            pass

    asyncio.run(check())


def test_whoever_leaves_gives_its_place_back() -> None:
    async def hold(room: Room, size_bytes: int) -> None:
        async with room.held(_client(), size_bytes):
            await asyncio.sleep(60)

    async def check() -> None:
        room = Room(10)
        holding = asyncio.create_task(hold(room, 8))
        waiting = asyncio.create_task(hold(room, 8))
        await asyncio.sleep(0.01)
        small = asyncio.create_task(hold(room, 2))
        for task in (waiting, holding, small):
            await asyncio.sleep(0.01)
            task.cancel()
        await asyncio.gather(holding, waiting, small, return_exceptions=True)
        async with asyncio.timeout(1), room.held(_client(), 10):
            pass

    asyncio.run(check())
