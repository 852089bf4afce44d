"""A line before a gate's places, or its servers: who waits, and who is next."""

from __future__ import annotations

import asyncio

import pytest

from smlm_pipeline.gate.clients import Client, Limits
from smlm_pipeline.gate.line import Line

LIMITS = Limits(16, 100, 1 << 20, 10.0)
MUCH, LITTLE = (Client(name, LIMITS) for name in ("much", "little"))


class _Queue:
    """A line with room for two, and the order in which its turns came."""

    def __init__(self) -> None:
        self.line = Line(lambda _client, turns, _own: turns < 2)
        self.order: list[str] = []
        self.may_end = asyncio.Semaphore(0)
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, client: Client, within_s: float | None = None) -> None:
        async def have() -> None:
            async with self.line.turn(client, within_s):
                self.order.append(client.name)
                await self.may_end.acquire()

        self.tasks.append(asyncio.create_task(have()))
        await asyncio.sleep(0.01)


def test_a_client_with_the_fewest_is_next() -> None:
    async def check() -> None:
        queue = _Queue()
        for client in (MUCH, MUCH, MUCH, MUCH, LITTLE, LITTLE):
            await queue.join(client)
        assert queue.order == ["much", "much"]
        for _ in range(6):
            queue.may_end.release()
            await asyncio.sleep(0.01)
        await asyncio.gather(*queue.tasks)
        assert queue.order[2:] == ["little", "much", "little", "much"]

    asyncio.run(check())


def test_one_that_waits_no_longer_takes_no_turn() -> None:
    async def check() -> None:
        queue = _Queue()
        for client in (MUCH, MUCH, LITTLE):
            await queue.join(client)
        queue.tasks[2].cancel()
        await queue.join(LITTLE, 0.05)
        with pytest.raises(asyncio.TimeoutError):
            await queue.tasks[3]
        for _ in range(2):
            queue.may_end.release()
        await asyncio.gather(*queue.tasks, return_exceptions=True)
        assert queue.order == ["much", "much"]
        for client in (MUCH, LITTLE):
            await queue.join(client)
        assert queue.order[2:] == ["much", "little"], "all room is free again"
        for task in queue.tasks:
            task.cancel()
        await asyncio.gather(*queue.tasks, return_exceptions=True)

    asyncio.run(check())


def test_a_turn_is_left_once() -> None:
    async def check() -> None:
        queue = _Queue()
        async with queue.line.turn(MUCH) as turn:
            turn.leave()
            turn.leave()
            for _ in range(3):
                await queue.join(LITTLE)
            assert len(queue.order) == 2
        await asyncio.sleep(0.01)
        assert len(queue.order) == 2
        for task in queue.tasks:
            task.cancel()
        await asyncio.gather(*queue.tasks, return_exceptions=True)

    asyncio.run(check())
