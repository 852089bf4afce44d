"""A server that is watched: when it dies or hangs it is replaced, and chunks are sent again.

A request is a pure function of its chunk, so the image does not change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from smlm_pipeline.engines.health import Health
from smlm_pipeline.engines.server_process import ServerProcess, undisturbed
from smlm_pipeline.engines.transport import ChunkAnswer, Request, Transport
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import (
    DeadModelError,
    ServerError,
    ServerFullError,
    ServerLostError,
    TransientServerError,
)

LOOK_EVERY_S = 0.25
"""Pause between two looks at the server."""

RESTARTS_MOST = 5
"""Most restarts within ``RESTARTS_WITHIN_S``, by default."""

RESTARTS_WITHIN_S = 600.0
"""Time in which restarts are counted."""

RECONNECT_S = 20.0
"""Longest wait for the connection to a server that was replaced; gRPC pauses for up to 5 s."""

_MAY_BE_ANOTHER = "a model's process died before; the answer may be that to another request"

_log = logging.getLogger(__name__)


class Restartable(Protocol):
    """A server of this machine that can be started more than once."""

    @property
    def servers(self) -> Servers:
        """Its address, which is the same after each start."""
        ...

    @property
    def process(self) -> ServerProcess:
        """Its processes, while it runs."""
        ...

    def start(self, unwanted: threading.Event) -> None:
        """Start it and wait until it is ready, or unwanted."""
        ...

    def stop(self) -> None:
        """Stop it in order."""
        ...

    def discard(self) -> None:
        """Kill it, and remove what it leaves."""
        ...

    def log_tail(self) -> str:
        """Return the last errors of its log."""
        ...


class Watch(AbstractContextManager["Watch"]):
    """Starts a server, and replaces it when it dies or hangs, within a ``with`` block.

    Parameters
    ----------
    server : Restartable
        The server.
    models : sequence of str
        Ensembles that are sent canaries.
    restarts_most : int
        Most restarts within ``RESTARTS_WITHIN_S``; then the server is given up.
    report : callable, optional
        Receives a line about each restart; by default they are logged.
    """

    def __init__(
        self,
        server: Restartable,
        models: Sequence[str],
        *,
        restarts_most: int = RESTARTS_MOST,
        report: Callable[[str], None] = _log.warning,
    ) -> None:
        self._server, self._models = server, models
        self._restarts_most, self._report = restarts_most, report
        self._restarts: deque[float] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._unwanted = threading.Event()
        self._lost: ServerLostError | None = None
        self._doubted_s = self._sound_s = 0.0
        self.generation = 0
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        """Start the server, and watch it.

        Raises
        ------
        ServerError
            If it cannot be started.
        """
        self._server.start(self._unwanted)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        with undisturbed():
            self._unwanted.set()
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            self._thread.join()
            self._server.stop()

    def wait(self) -> None:
        """Wait until the server is given up.

        Raises
        ------
        ServerLostError
            Then.
        """
        with self._changed:
            while self._lost is None:
                self._changed.wait(1)  # in which signals are answered
        raise self._lost

    def settle(self, generation: int) -> None:
        """Wait until the server of this generation has been replaced, or has proved to work.

        Raises
        ------
        ServerLostError
            If it has been given up.
        """
        with self._changed:
            asked_s = time.monotonic()
            self._doubted_s = asked_s
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or self._lost is not None
                    or self.generation > generation
                    or self._sound_s >= asked_s
                )
            )
            if self._lost is not None:
                raise self._lost

    def _watch(self) -> None:
        """Look at the server until it is unwanted or given up."""
        try:
            while not self._unwanted.is_set():
                health = Health(self._server.process, self._server.servers, self._models)
                try:
                    fault = self._fault(health)
                finally:
                    health.close()
                if fault is not None and not self._replaced(fault):
                    return
        finally:
            with self._changed:
                if not self._closed and self._lost is None:
                    self._lost = ServerLostError("the server is not watched any more")
                self._changed.notify_all()

    def _fault(self, health: Health) -> str | None:
        """Look until something is wrong, and return what; None if the server is unwanted."""
        while True:
            fault = health.fault(doubted=self._doubted_s > health.sound_s)
            with self._changed:
                if self._closed or fault is not None:
                    return None if self._closed else fault
                if health.sound_s > self._sound_s:
                    self._sound_s = health.sound_s
                    self._changed.notify_all()
                self._changed.wait(LOOK_EVERY_S)

    def _replaced(self, fault: str) -> bool:
        """Start the server again; return whether it runs."""
        while not self._unwanted.is_set():
            now_s = time.monotonic()
            while self._restarts and self._restarts[0] < now_s - RESTARTS_WITHIN_S:
                self._restarts.popleft()
            if len(self._restarts) >= self._restarts_most:
                self._give_up(fault)
                return False
            self._restarts.append(now_s)
            self._report(f"{fault}; restarting ({len(self._restarts)} of {self._restarts_most})")
            try:
                self._server.discard()
                self._server.start(self._unwanted)
            except ServerError as error:
                fault = str(error)
                continue
            with self._changed:
                self.generation += 1
                self._changed.notify_all()
            self._report(f"restarted after {time.monotonic() - now_s:.1f} s")
            return True
        return False

    def _give_up(self, fault: str) -> None:
        within = f"within {RESTARTS_WITHIN_S / 60:.0f} minutes"
        after = {0: "without a restart, as asked", 1: f"after one restart {within}"}
        why = after.get(self._restarts_most, f"after {self._restarts_most} restarts {within}")
        tail = self._server.log_tail()
        self._server.discard()
        with self._changed:
            self._lost = ServerLostError(
                f"the server is given up {why}: {fault}; look for what ends it, or allow more "
                f"restarts: {tail}"
            )
            self._changed.notify_all()


@runtime_checkable
class Reconnecting(Protocol):
    """A transport that can wait for its server."""

    def reconnect(self, patience_s: float) -> bool:
        """Wait until the server answers."""
        ...


class WatchedTransport:
    """A transport to a server that is watched: failures end when the server is sound again.

    Parameters
    ----------
    transport : Transport
        The connection.
    watch : Watch
        What replaces its server.
    """

    def __init__(self, transport: Transport, watch: Watch) -> None:
        self._transport, self._watch = transport, watch
        self._distrusted = -1

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Send one chunk and wait for its sum.

        Raises
        ------
        TransientServerError
            If the server was gone or hung; it works again, so the request may be sent again.
        ServerLostError
            If the server was given up.
        ReconError
            As the transport raises it.
        """
        generation = self._watch.generation
        try:
            answer = self._transport.sum_chunk(request)
            if self._distrusted == generation:
                raise DeadModelError(f"{request.label}: {_MAY_BE_ANOTHER}")
        except ServerFullError:
            raise
        except TransientServerError as error:
            if isinstance(error, DeadModelError):
                self._distrusted = generation
            self._watch.settle(generation)
            if isinstance(self._transport, Reconnecting):
                self._transport.reconnect(RECONNECT_S)
            raise
        return answer
