"""What ``--server`` may say, and what gRPC is told of it."""

from __future__ import annotations

import socket

import pytest

from smlm_pipeline.engines.triton import addresses
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.errors import ServerError, SettingError


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and their numeric addresses: no other name is looked up."""
    hosts: dict[str, list[str]] = {
        "one": ["10.0.0.1"],
        "two": ["10.0.0.2"],
        "many": ["10.0.0.3", "10.0.0.4", "10.0.0.5"],
        "both": ["fd00::6", "10.0.0.6"],
        "six": ["fd00::7"],
    }

    def getaddrinfo(host: str, port: int, *, type: int) -> list[object]:  # noqa: A002
        assert type == socket.SOCK_STREAM
        if host not in hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (numeric, port)) for numeric in hosts[host] * 2]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return hosts


def _target(text: str) -> str:
    target, _ = Servers.parse(text).connection()
    return target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu:8001", [Address("gpu", 8001)]),
        ("10.0.0.1:1", [Address("10.0.0.1", 1)]),
        ("[::1]:8001", [Address("::1", 8001)]),
        ("[::ffff:10.0.0.1]:65535", [Address("::ffff:10.0.0.1", 65535)]),
        ("a:1,b:2", [Address("a", 1), Address("b", 2)]),
        (" a:1 , b:2 ", [Address("a", 1), Address("b", 2)]),
        ("a:1,b:2,a:1", [Address("a", 1), Address("b", 2)]),
        ("my_server-1.lab.example:8001", [Address("my_server-1.lab.example", 8001)]),
    ],
)
def test_servers_that_are_named(text: str, expected: list[Address]) -> None:
    assert list(Servers.parse(text).addresses) == expected


@pytest.mark.parametrize(
    "part",
    [
        *("", "gpu", "gpu:", ":8001", "gpu:0", "gpu:65536", "gpu:grpc", "gpu 8001", "gpu:8001/v2"),
        *("http://gpu:8001", "::1:8001", "[::1]", "[1.2.3]:8001", "[gpu]:8001", "[10.0.0.1]:8001"),
    ],
)
def test_what_is_no_address_is_told(part: str) -> None:
    for text in (part, f"{part},b:2", f"a:1,{part}", f"a:1,{part},b:2"):
        with pytest.raises(SettingError, match="expected HOST:PORT of its gRPC endpoint") as caught:
            Servers.parse(text)
        assert str(caught.value).startswith(f"server is {text!r}")
        assert repr(part) in str(caught.value)


@pytest.mark.parametrize("text", ["gpu:8001", "[::1]:8001", "10.0.0.1:1"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    (address,) = Servers.parse(text).addresses
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [("a:1", "a:1"), ("a:1,b:1", "a:1 and b:1"), ("a:1,b:1,[::1]:1", "a:1, b:1 and [::1]:1")],
)
def test_servers_as_people_list_them(text: str, told: str) -> None:
    assert str(Servers.parse(text)) == told


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("one:1", "dns:///one:1"),  # left to gRPC, which looks it up anew
        ("many:1", "dns:///many:1"),
        ("10.0.0.9:1", "ipv4:10.0.0.9:1"),
        ("[::1]:1", "ipv6:[::1]:1"),
        ("one:1,two:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("one:1,many:2", "ipv4:10.0.0.1:1,10.0.0.3:2,10.0.0.4:2,10.0.0.5:2"),
        ("six:1,[fd00::8]:2", "ipv6:[fd00::7]:1,[fd00::8]:2"),
        ("one:1,six:2", "ipv6:[::ffff:10.0.0.1]:1,[fd00::7]:2"),
    ],
)
@pytest.mark.usefixtures("known")
def test_what_grpc_is_told(text: str, target: str) -> None:
    assert _target(text) == target


@pytest.mark.parametrize(
    ("name", "count"), [("one", 1), ("many", 3), ("both", 1), ("six", 1), ("10.0.0.9", 1)]
)
@pytest.mark.usefixtures("known")
def test_how_many_servers_a_name_stands_for(name: str, count: int) -> None:
    """A machine with an address of each family is one."""
    servers = Servers((Address(name, 1),))
    assert servers.connection()[1] == count
    assert len(servers.endpoints()) == count


@pytest.mark.usefixtures("known")
def test_a_name_that_is_not_known() -> None:
    told = r"the name of server nonesuch:8001 cannot be looked up \(.*not known\); expected a host"
    with pytest.raises(ServerError, match=told):
        addresses.look_up(Address("nonesuch", 8001))


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "a..b"])
def test_a_name_that_cannot_be_one(host: str) -> None:
    """What Python cannot even encode is refused as what is not known."""
    with pytest.raises(ServerError, match="cannot be looked up"):
        addresses.look_up(Address(host, 8001))
