"""The servers behind a gate: which get requests, and how those of a name are followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import grpc  # type: ignore[import-untyped]
import pytest

from fakes.certificates import authority, issued, needs_openssl
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline import contract
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.status import ModelStatus, ServerStatus
from smlm_pipeline.engines.triton.tls import ClientTls
from smlm_pipeline.errors import ServerError
from smlm_pipeline.gate import behind as module
from smlm_pipeline.gate.behind import Behind, of_one_network
from smlm_pipeline.gate.clients import Client, Limits

A, B, C = (Address(f"10.0.0.{number}", 8001) for number in (1, 2, 3))
CLIENT = Client("client", Limits(16, 100, 1 << 20, 10.0))

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
    found, networks = of_one_network(stated, known, may_change=True)
    assert found == used
    assert networks == (stated[used[0]] if used else known)


def test_others_take_their_place_in_time() -> None:
    assert of_one_network({B: SECOND}, FIRST, may_change=False) == ((), FIRST)


@dataclass
class _Name:
    """Stands for the look-up of a name; None is a name that is not known."""

    hosts: list[str] | None = field(default_factory=list)

    def look_up(self, address: Address) -> tuple[Address, ...]:
        if address.host != "recon":
            return (address,)
        if self.hosts is None:
            raise ServerError("the name cannot be looked up")
        return tuple(Address(host, address.port) for host in self.hosts)


def test_a_name_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    name, lines = _Name(["127.0.0.1"]), list[str]()
    monkeypatch.setattr(module, "look_up", name.look_up)
    monkeypatch.setattr(module, "FOLLOW_S", 0.05)

    async def check(first: FakeTriton, second: FakeTriton) -> None:
        servers = Servers((Address("recon", first.servers.addresses[0].port),))
        async with Behind(servers, report=lines.append) as behind:
            async with behind.turn(CLIENT) as (calls, _):
                name.hosts = ["127.0.0.1", "127.0.0.2"]
                await _until(lambda: len(lines) == 1)
                name.hosts = ["127.0.0.2"]
                await _until(lambda: len(lines) == 2)
                assert behind._former == {calls}  # until the request on it has ended
            assert not behind._former
            name.hosts = None
            await asyncio.sleep(0.2)
            assert await behind.is_ready()
            name.hosts = ["127.0.0.1", "127.0.0.2"]
            await _until(lambda: len(lines) == 3)
            second.class_borders_px = "0.3; 0.2 0.4; 0.1 0.3 0.5"
            await _until(lambda: len(lines) == 5)
            assert await behind.is_ready()

    with FakeTriton(ComputingTransport()) as first:
        port = first.servers.addresses[0].port
        with FakeTriton(ComputingTransport(), host="127.0.0.2", port=port) as second:
            asyncio.run(check(first, second))
    here, there = (f"127.0.0.{number}:{port}" for number in (1, 2))
    assert lines[:2] == [
        f"requests are sent to {here} and {there}",
        f"requests are sent to {there}",
    ]
    assert lines[2] == lines[0]
    # The first server states the networks of before; the second has others now.
    assert lines[3].startswith(f"{there}: other networks than those of {here}")
    assert lines[4] == f"requests are sent to {here}"


def test_a_name_that_no_one_knows_is_an_error_at_the_start() -> None:
    async def check(names: str) -> None:
        async with Behind(Servers.parse(names), report=print) as behind:
            assert await behind.is_ready()

    with pytest.raises(ServerError, match="cannot be looked up"):
        asyncio.run(check("nosuch.invalid:1"))
    with FakeTriton(ComputingTransport()) as triton:  # others do not wait for it
        asyncio.run(check(f"{triton.address},nosuch.invalid:8001"))


def test_a_server_that_comes_back_with_another_network_gets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though it is back before the next look: its connection was lost."""
    monkeypatch.setattr(module, "FOLLOW_S", 60)
    lines = list[str]()

    async def check() -> None:
        first = FakeTriton(ComputingTransport())
        port = first.servers.addresses[0].port
        with first:
            behind = await Behind(first.servers, report=lines.append).__aenter__()
            async with behind.turn(CLIENT) as (calls, _):
                assert calls is not None
            await asyncio.to_thread(first.__exit__)
        with FakeTriton(ComputingTransport(), port=port, versions=("11",)):
            await _until(lambda: not behind._used[first.servers.addresses[0]].is_connected)
            async with behind.turn(CLIENT) as (calls, _):
                assert calls is None
            await _until(lambda: len(lines) == 2)
            assert not await behind.is_ready()
            monkeypatch.setattr(module, "ABSENT_S", 0.1)
            await asyncio.sleep(0.2)
            assert await behind.ask("ServerReady", b"") is None  # which asks for a look
            await _until(lambda: any(calls.is_connected for calls in behind._used.values()))
            assert await behind.ask("ServerReady", b"")
        await behind.__aexit__()

    asyncio.run(check())
    assert "other networks than those of before" in lines[0]
    assert lines[1] == "requests are sent to no server"
    assert "no server has the networks of before, so requests are sent to" in lines[2]


def test_servers_that_fail_are_the_last_choice() -> None:
    async def check() -> None:
        with FakeTriton(ComputingTransport()) as one, FakeTriton(ComputingTransport()) as other:
            servers = Servers(one.servers.addresses + other.servers.addresses)
            async with (
                Behind(servers, report=print) as behind,
                behind.turn(CLIENT) as (busy, _),
            ):
                assert busy is not None
                async with behind.turn(CLIENT) as (idle, _):
                    assert idle is not None
                    assert idle is not busy
                    idle.ended(grpc.StatusCode.UNAVAILABLE)
                async with behind.turn(CLIENT) as (again, _):
                    assert again is busy
                idle.ended(grpc.StatusCode.OK)

    asyncio.run(check())


def test_what_cannot_be_read_ends_no_look_and_is_reported_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = list[str]()
    monkeypatch.setattr(module, "FOLLOW_S", 0.02)

    async def check(triton: FakeTriton) -> None:
        async with Behind(triton.servers, report=lines.append) as behind:
            looks, look_up, sound = list[int](), behind._look_up, triton.versions

            def counted() -> tuple[Address, ...]:
                looks.append(len(lines))
                return look_up()

            monkeypatch.setattr(behind, "_look_up", counted)
            for reported in (1, 2):
                triton.versions = triton.network_versions = ("x",)
                await _until(lambda: looks.count(reported) > 5)  # noqa: B023
                assert len(lines) == reported
                triton.versions = triton.network_versions = sound
                before_s = behind._looked_s
                await _until(lambda: behind._looked_s > before_s)  # noqa: B023

    with FakeTriton(ComputingTransport()) as triton:
        asyncio.run(check(triton))
    assert len(lines) == 2
    assert all("the servers cannot be looked at: ValueError" in line for line in lines)


@needs_openssl
def test_other_certificates_are_for_new_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request under way ends on the connection of before."""
    monkeypatch.setattr(module, "FOLLOW_S", 0.05)
    own, own_key = issued("server")
    ca = authority().ca.read_bytes()
    first, second = (
        ClientTls(ca, certificate.read_bytes(), key.read_bytes())
        for certificate, key in (issued("first"), issued("second"))
    )

    async def check(servers: Servers) -> None:
        changed = list[ClientTls]()
        async with Behind(
            servers, report=print, renewed=lambda: changed.pop() if changed else None
        ) as behind:
            async with behind.turn(CLIENT) as (before, _):
                assert before is not None
                changed.append(second)
                await _until(lambda: before not in behind._used.values())
                assert behind._former == {before}
                assert before.is_connected
                async with behind.turn(CLIENT) as (after, _):
                    assert after is not None
                    assert after.tls == replace(second, server_name="127.0.0.1")
                    assert await after.questions["ServerReady"](b"", timeout=30)
            assert not behind._former

    triton = FakeTriton(ComputingTransport())
    pair = [(own_key.read_bytes(), own.read_bytes())]
    address = triton.listen(grpc.ssl_server_credentials(pair, ca, True))
    with triton:
        asyncio.run(check(Servers.parse(address, first)))


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.02)


def test_what_a_server_computes_at_once_does_not_matter() -> None:
    state = ServerStatus(
        "a:1", True, "2.51.0", contract.RECONSTRUCTION.name, (replace(FIRST[0], request_pixels=9),)
    )
    assert module.networks_of(state) == FIRST
