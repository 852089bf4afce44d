"""A name of servers that others join and leave, without a name server."""

from __future__ import annotations

from dataclasses import dataclass, field

from smlm_pipeline.engines.triton.addresses import Address, Servers

_NAME = Address("servers.invalid", 8001)


@dataclass(frozen=True)
class NamedServers(Servers):
    """Servers that are followed as those of a name are; ``present`` are its addresses now.

    gRPC gets the addresses themselves, as if it had looked the name up.
    """

    addresses: tuple[Address, ...] = (_NAME,)
    present: list[Address] = field(default_factory=list)

    def numeric(self) -> list[Address]:
        """The addresses of the name now."""
        return list(self.present)

    def endpoints(self) -> tuple[Address, ...]:
        """The address of each server now."""
        return tuple(self.present)

    def connection(self) -> tuple[str, int]:
        """The target of a gRPC channel to all servers, and their number."""
        return Servers(tuple(self.present)).connection()
