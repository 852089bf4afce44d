"""The servers behind a gate: which get requests, and how those of a name are followed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import grpc  # type: ignore[import-untyped]
import pytest

from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline import contract
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.status import ModelStatus, ServerStatus
from smlm_pipeline.errors import ServerError
from smlm_pipeline.gate import behind as module
from smlm_pipeline.gate.behind import Behind, of_one_network

A, B, C = (Address(f"10.0.0.{number}", 8001) for number in (1, 2, 3))
FIRST = (ModelStatus("unet", ready=True, versions=("1",)),)
SECOND = (replace(FIRST[0], versions=("2",)),)


@pytest.mark.parametrize(
    ("stated", "known", "used"),
    [
        ({A: FIRST, B: FIRST}, None, (A, B)),
        ({A: FIRST, B: SECOND}, None, (A,)),
        ({A: FIRST, B: SECOND, C: SECOND}, None, (B, C)),
        ({A: FIRST, B: SECOND, C: SECOND}, FIRST, (A,)),  # films never mix networks
        ({B: SECOND}, FIRST, (B,)),  # the first network is gone
        ({}, FIRST, ()),
    ],
)
def test_servers_of_one_network(
    stated: dict[Address, tuple[ModelStatus, ...]],
    known: tuple[ModelStatus, ...] | None,
    used: tuple[Address, ...],
) -> None:
    found, networks = of_one_network(stated, known)
    assert found == used
    assert networks == (stated[used[0]] if used else known)


@dataclass
class _Name:
    """Stands for the look-up of a name; None is a name that is not known."""

    hosts: list[str] | None = field(default_factory=list)

    def numeric(self, servers: Servers) -> list[Address]:
        """In the place of `Servers.numeric`."""
        if servers.addresses[0].host != "recon":
            return list(servers.addresses)
        if self.hosts is None:
            raise ServerError("the name cannot be looked up")
        return [Address(host, servers.addresses[0].port) for host in self.hosts]


def test_a_name_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    name, lines = _Name(["127.0.0.1"]), list[str]()
    monkeypatch.setattr(Servers, "numeric", lambda servers: name.numeric(servers))
    monkeypatch.setattr(module, "FOLLOW_S", 0.05)

    async def asked(behind: Behind, count: int) -> None:
        for _ in range(count):
            with contextlib.suppress(grpc.RpcError):
                await behind.ask("ModelReady", b"")

    async def check(first: FakeTriton, second: FakeTriton) -> None:
        servers = Servers((Address("recon", first.servers.addresses[0].port),))
        async with Behind(servers, report=lines.append) as behind:
            with behind.lent() as calls:
                name.hosts = ["127.0.0.1", "127.0.0.2"]
                await _until(lambda: len(lines) == 1)
                assert behind._former == {calls}  # until the request on it has ended
            assert not behind._former
            name.hosts = None
            await asyncio.sleep(0.2)
            name.hosts = ["127.0.0.2"]
            await _until(lambda: len(lines) == 2)
            second.class_borders_px = "0.3; 0.2 0.4; 0.1 0.3 0.5"
            name.hosts = ["127.0.0.1", "127.0.0.2"]
            await _until(lambda: len(lines) == 4)
            assert await behind.is_ready()
            await asked(behind, 2)

    with FakeTriton(ComputingTransport()) as first:
        port = first.servers.addresses[0].port
        with FakeTriton(ComputingTransport(), host="127.0.0.2", port=port) as second:
            asyncio.run(check(first, second))
    here, there = (f"127.0.0.{number}:{port}" for number in (1, 2))
    assert lines[:2] == [
        f"requests are sent to {here} and {there}",
        f"requests are sent to {there}",
    ]
    # The first server states the networks of before; the second has others now.
    assert lines[2].startswith(f"{there}: other networks than those of {here}")
    assert lines[3] == f"requests are sent to {here}"


def test_a_name_that_nobody_knows_is_an_error_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Servers, "numeric", lambda servers: _Name(None).numeric(servers))

    async def check() -> None:
        async with Behind(Servers.parse("recon:1"), report=print):
            pytest.fail("it started")

    with pytest.raises(ServerError, match="cannot be looked up"):
        asyncio.run(check())


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.02)


def test_what_a_server_computes_at_once_does_not_matter() -> None:
    state = ServerStatus(
        "a:1", True, "2.51.0", contract.RECONSTRUCTION.name, (replace(FIRST[0], request_pixels=9),)
    )
    assert module.networks_of(state) == FIRST
