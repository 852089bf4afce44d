"""What ``--server`` may say, and what gRPC is told: one server, several, or a name of many."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from smlm_pipeline import contract
from smlm_pipeline.errors import ServerError, SettingError

_SHAPE = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})")
_PORT_LAST = 65535


@dataclass(frozen=True)
class Address:
    """The gRPC endpoint of a server, or of all servers that a name stands for."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_name(self) -> bool:
        """Whether the host has to be looked up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


def parse(text: str) -> tuple[Address, ...]:
    """``HOST:PORT`` or several of it with commas between, each once, in their order.

    Raises
    ------
    SettingError
        If it is anything else.
    """
    return tuple(dict.fromkeys(_parse_one(part.strip(), text) for part in text.split(",")))


def named(addresses: Sequence[object]) -> str:
    """Addresses as people list them: ``a:1``, ``a:1 and b:1``, ``a:1, b:1 and c:1``."""
    *first, last = map(str, addresses)
    return f"{', '.join(first)} and {last}" if first else last


def look_up(address: Address) -> tuple[Address, ...]:
    """The numeric addresses that a host has; one that is numeric stands for itself.

    Raises
    ------
    ServerError
        If the name is not known.
    """
    if not address.is_name:
        return (address,)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(
            f"the name of server {address} cannot be looked up ({error}); expected a host that is "
            "known here: check its spelling, or give its numeric address"
        ) from error
    hosts = dict.fromkeys(str(place[0]) for *_, place in found)
    return tuple(Address(host, address.port) for host in hosts)


def count_servers(addresses: Sequence[Address]) -> int:
    """How many servers numeric addresses are, where one machine may have one of each family."""
    families = ["ipv6" if ":" in address.host else "ipv4" for address in addresses]
    return max(families.count("ipv6"), families.count("ipv4"))


def grpc_target(asked: Sequence[Address], found: Sequence[Address]) -> str:
    """What a gRPC channel is opened to.

    One name is left to gRPC, which looks it up anew when a connection is lost, so that servers
    that come later are found. A list is static, and of one family: where both occur, IPv4 is
    written as IPv6.

    Parameters
    ----------
    asked : sequence of Address
        What the user named.
    found : sequence of Address
        The numeric addresses of these.
    """
    if len(asked) == 1 and asked[0].is_name:
        return f"dns:///{asked[0]}"
    if not any(":" in address.host for address in found):
        return f"ipv4:{','.join(map(str, found))}"
    mapped = (
        address if ":" in address.host else Address(f"::ffff:{address.host}", address.port)
        for address in found
    )
    return f"ipv6:{','.join(map(str, mapped))}"


def _parse_one(part: str, text: str) -> Address:
    found = _SHAPE.fullmatch(part)
    if not found or not 1 <= int(found["port"]) <= _PORT_LAST or not _is_ipv6(found["ipv6"]):
        which = (
            f"server is {text!r}" if part == text else f"server is {text!r}, with {part!r} in it"
        )
        raise SettingError(
            f"{which}; expected HOST:PORT of its gRPC endpoint, for example "
            f"127.0.0.1:{contract.GRPC_PORT}, or several with commas between"
        )
    return Address(found["ipv6"] or found["host"], int(found["port"]))


def _is_ipv6(host: str | None) -> bool:
    """Whether what stands in brackets is an IPv6 address; nothing is as good."""
    try:
        return host is None or ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
