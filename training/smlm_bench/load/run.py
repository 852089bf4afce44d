"""One load from start to end: servers, first requests, clients, figures."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smlm_bench.load.clients import Load, messages, put_under_load
from smlm_bench.load.summary import Summary, summarise
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import SettingError

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
            with TritonTransport(Servers.parse(address), model=model) as transport:
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


_FIRST_S = 1.0


def loaded(
    load: Load,
    sizes_px: Sequence[int],
    frames: int,
    addresses: Sequence[str],
    *,
    servers: int,
    remote: bool,
    tell: Callable[[int, float], None],
) -> tuple[Summary, int]:
    """Figures of the load, and how many servers it was put on.

    Requests of each size are answered once by each server before, so that what is
    measured is not the first allocation of memory.

    Raises
    ------
    ReconError
        If a server cannot be started, reached or used.
    """
    sent = messages(sizes_px, frames)
    with targets(addresses, servers=servers, model=load.model, remote=remote) as found:
        for message in sent:
            first = replace(load, clients=load.clients, seconds=_FIRST_S)
            put_under_load(found.addresses, [message], first, lambda _count, _left_s: None)
        before = found.shared_memory_bytes()
        answers, seconds = put_under_load(found.addresses, sent, load, tell)
        after = found.shared_memory_bytes()
    return summarise(answers, seconds, (before, after)), len(found.addresses)
