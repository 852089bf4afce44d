"""Addresses of servers: read from ``--server``, and written as the target of a gRPC channel."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smlm_pipeline import contract
from smlm_pipeline.engines.triton.tls import ClientTls
from smlm_pipeline.errors import ServerError, SettingError

_SHAPE = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})")
_PORT_LAST = 65535


@dataclass(frozen=True)
class Address:
    """The gRPC endpoint of a server, or of all servers of one name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_name(self) -> bool:
        """Whether the host is a name, which has to be looked up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


@dataclass(frozen=True)
class Servers:
    """The servers that share the requests: several addresses, or one, whose name may be of many.

    ``tls`` is how they are connected to; None without TLS.
    """

    addresses: tuple[Address, ...]
    tls: ClientTls | None = None

    @classmethod
    def parse(cls, text: str, tls: ClientTls | None = None) -> Servers:
        """Read ``HOST:PORT``, or several with commas between; repeated ones count once.

        Raises
        ------
        SettingError
            If the text is anything else, or several hosts are to be connected to by TLS, and no
            name is given that their certificates share.
        """
        addresses = tuple(dict.fromkeys(_parse_one(part.strip(), text) for part in text.split(",")))
        if tls is not None and tls.server_name is None:
            host, *others = {address.host: None for address in addresses}
            if others:
                raise SettingError(
                    f"server is {text!r}, several hosts, with TLS; expected one name that their "
                    "certificates share: give it with --tls-server-name, for a gate with "
                    "--server-tls-name"
                )
            tls = replace(tls, server_name=host)  # the numeric addresses of a name need it, too
        return cls(addresses, tls)

    def only(self, *addresses: Address) -> Servers:
        """Some of the servers, or of those behind their names, connected to in the same way."""
        return replace(self, addresses=addresses)

    def __str__(self) -> str:
        """List the addresses in words: ``a:1``, ``a:1 and b:1``, ``a:1, b:1 and c:1``."""
        *first, last = map(str, self.addresses)
        return f"{', '.join(first)} and {last}" if first else last

    def endpoints(self) -> tuple[Address, ...]:
        """List the address of each server: of a single name all servers that it stands for.

        Raises
        ------
        ServerError
            If a single name is not known.
        """
        if len(self.addresses) > 1:
            return self.addresses
        numeric = look_up(self.addresses[0])
        return numeric if count_servers(numeric) > 1 else self.addresses

    @property
    def is_name(self) -> bool:
        """Whether this is one name, which may have other servers later."""
        return len(self.addresses) == 1 and self.addresses[0].is_name

    def numeric(self) -> list[Address]:
        """Look up the addresses of all hosts.

        Raises
        ------
        ServerError
            If a name is not known.
        """
        return [found for address in self.addresses for found in look_up(address)]

    def connection(self) -> tuple[str, int]:
        """Return the target of a gRPC channel to all servers, and their number.

        gRPC looks a single name up, and does so again when a connection is lost. A list is static,
        and of one family: where both occur, IPv4 is written as IPv6.

        Raises
        ------
        ServerError
            If a name is not known.
        """
        numeric = self.numeric()
        server_count = max(len(self.addresses), count_servers(numeric))
        if self.is_name:
            return f"dns:///{self.addresses[0]}", server_count
        if not any(":" in address.host for address in numeric):
            return f"ipv4:{','.join(map(str, numeric))}", server_count
        mapped = (
            address if ":" in address.host else Address(f"::ffff:{address.host}", address.port)
            for address in numeric
        )
        return f"ipv6:{','.join(map(str, mapped))}", server_count


def look_up(address: Address) -> tuple[Address, ...]:
    """Look up the numeric addresses of a host; a numeric one is its own.

    Raises
    ------
    ServerError
        If the name is not known.
    """
    if not address.is_name:
        return (address,)
    try:
        answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(
            f"the name of server {address} cannot be looked up ({error}); expected a host that is "
            "known here: check its spelling, or give its numeric address"
        ) from error
    hosts = dict.fromkeys(str(place[0]) for *_, place in answers)
    return tuple(Address(host, address.port) for host in hosts)


def count_servers(addresses: Sequence[Address]) -> int:
    """Count the servers of numeric addresses; a machine may have one address of each family."""
    families = ["ipv6" if ":" in address.host else "ipv4" for address in addresses]
    return max(families.count("ipv6"), families.count("ipv4"))


def _parse_one(part: str, text: str) -> Address:
    match = _SHAPE.fullmatch(part)
    if not match or not 1 <= int(match["port"]) <= _PORT_LAST or not _is_ipv6(match["ipv6"]):
        server = (
            f"server is {text!r}" if part == text else f"server is {text!r}, with {part!r} in it"
        )
        raise SettingError(
            f"{server}; expected HOST:PORT of its gRPC endpoint, for example "
            f"127.0.0.1:{contract.GRPC_PORT}, or several with commas between"
        )
    return Address(match["ipv6"] or match["host"], int(match["port"]))


def _is_ipv6(host: str | None) -> bool:
    """Whether the text in brackets is an IPv6 address, or there are no brackets."""
    try:
        return host is None or ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
