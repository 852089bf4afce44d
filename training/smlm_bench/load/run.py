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

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's folder of segments, not a scratch folder


@dataclass(frozen=True)
class Targets:
    """Addresses, and whether the servers are embedded ones, whose shared memory is known."""

    addresses: tuple[str, ...]
    embedded: bool

    def shared_memory_bytes(self) -> int | None:
        """Add up the memory of the embedded servers' segments; None for other servers."""
        if not self.embedded:
            return None
        segments = _SHARED_MEMORY.glob(f"smlm_recon_{os.getpid()}_*")
        return sum(segment.stat().st_blocks * 512 for segment in segments)


@contextlib.contextmanager
def targets(
    addresses: Sequence[str], *, servers: int, model: str, remote: bool
) -> Iterator[Targets]:
    """Start or check the servers; embedded ones run within the ``with`` block.

    Parameters
    ----------
    addresses : sequence of str
        ``HOST:PORT`` of running servers; none starts embedded ones, with that ensemble alone.
    servers : int
        Number of servers to start.
    model : str
        Ensemble that each must serve.
    remote : bool
        Whether an address may be another machine's.

    Yields
    ------
    Targets
        Servers that serve the ensemble.

    Raises
    ------
    SettingError
        If an address is another machine's without ``remote``.
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
            under_load = Targets(tuple(addresses), embedded=True)
        else:
            under_load = Targets(tuple(addresses), embedded=False)
        for address in under_load.addresses:
            with TritonTransport(Servers.parse(address), model=model) as transport:
                transport.served_network()
        yield under_load


def _is_loopback(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise SettingError(f"the server is {address!r}; expected HOST:PORT")
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


_WARM_UP_S = 1.0


def put_on_servers(
    load: Load,
    sizes_px: Sequence[int],
    frames: int,
    addresses: Sequence[str],
    *,
    servers: int,
    remote: bool,
    tell: Callable[[int, float], None],
) -> tuple[Summary, int]:
    """Put servers under a load, after a first request of each size to each of them.

    The first requests allocate memory, which is not to be measured.

    Parameters
    ----------
    load : Load
        Clients, seconds, ensemble and seed.
    sizes_px : sequence of int
        Edges of the frames.
    frames : int
        Frames of each request.
    addresses : sequence of str
        ``HOST:PORT`` of running servers; none starts embedded ones.
    servers : int
        Number of servers to start.
    remote : bool
        Whether an address may be another machine's.
    tell : callable
        Receives the number of answers and the seconds left, now and then.

    Returns
    -------
    figures : Summary
        Throughput, latencies, errors, memory.
    server_count : int
        Number of servers.

    Raises
    ------
    ReconError
        If a server cannot be started, reached or used.
    """
    requests = messages(load.model, sizes_px, frames)
    warm_up = replace(load, seconds=_WARM_UP_S)
    with targets(addresses, servers=servers, model=load.model, remote=remote) as under_load:
        for request in requests:
            put_under_load(under_load.addresses, [request], warm_up, lambda _count, _left_s: None)
        before = under_load.shared_memory_bytes()
        answers, seconds = put_under_load(under_load.addresses, requests, load, tell)
        after = under_load.shared_memory_bytes()
    return summarise(answers, seconds, (before, after)), len(under_load.addresses)
