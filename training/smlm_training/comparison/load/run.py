"""One load from start to end: servers, first requests, clients, figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from smlm_training.comparison.load.clients import Load, put_under_load
from smlm_training.comparison.load.messages import messages
from smlm_training.comparison.load.summary import Summary, summarise
from smlm_training.comparison.load.targets import targets

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
