"""Which servers are put under load: embedded ones of our own, or addresses on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline.errors import SettingError
from smlm_pipeline.server import EmbeddedServer
from smlm_pipeline.triton import TritonTransport
from smlm_training.comparison.ensemble_copy import copy_of_ensemble

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the kernel keeps it, not a scratch folder


@dataclass(frozen=True)
class Targets:
    """Addresses, and whether the servers are ours, so that their shared memory can be told."""

    addresses: tuple[str, ...]
    embedded: bool

    def shared_memory_bytes(self) -> int | None:
        """What the embedded servers' segments take of the machine's memory; None of others."""
        if not self.embedded:
            return None
        segments = _SHARED_MEMORY.glob(f"smlm_recon_{os.getpid()}_*")
        return sum(segment.stat().st_blocks * 512 for segment in segments)


@contextlib.contextmanager
def targets(
    addresses: Sequence[str], *, servers: int, model: str, remote: bool
) -> Iterator[Targets]:
    """The servers, which run or are asked for their contract within the ``with`` block.

    Parameters
    ----------
    addresses : sequence of str
        ``HOST:PORT`` of running servers; none starts embedded ones, with that ensemble alone.
    servers : int
        How many to start.
    model : str
        Ensemble that all of them have to serve.
    remote : bool
        Whether an address may be another machine's.

    Raises
    ------
    SettingError
        If an address is another machine's and that was not allowed.
    ServerError, ContractError
        If a server cannot be started or used.
    """
    for address in addresses:
        if not remote and not _is_loopback(address):
            raise SettingError(
                f"{address} is not on this machine; expected 127.0.0.1:PORT, or --remote for "
                "a server that you may put under load"
            )
    with contextlib.ExitStack() as stack:
        if not addresses:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            repository = copy_of_ensemble(model, folder)
            addresses = [
                stack.enter_context(EmbeddedServer(repository)).address for _ in range(servers)
            ]
            found = Targets(tuple(addresses), embedded=True)
        else:
            found = Targets(tuple(addresses), embedded=False)
        for address in found.addresses:
            with TritonTransport(address, model=model) as transport:
                transport.model_version()
        yield found


def _is_loopback(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise SettingError(f"the server is {address!r}; expected HOST:PORT")
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
