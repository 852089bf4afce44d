"""The number of concurrent requests: enough to keep the servers busy, and few more."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

WAITING_FEW, WAITING_MANY = 1.0, 2.0
"""Requests that wait in each server: the limit grows below the first, shrinks above the second."""


class ConcurrencyLimit:
    """Limits concurrent requests as TCP Vegas does (doi 10.1109/49.464716).

    Of ``limit`` concurrent requests, ``limit * (1 - fastest / present)`` wait for others, where
    ``fastest`` is the shortest time of an answer and ``present`` the mean of the last round.
    A failure that may pass halves the limit, or one server's share of it. ``failures`` counts them,
    and ``swapped_answers`` those of them that were answers to other requests. Used from several
    threads.

    Parameters
    ----------
    first, most : int
        Requests at the start and at most; if they are equal, the limit is fixed.
    servers : int
        Number of servers that share the requests.
    ceiling : int, optional
        Requests at most of any number of servers; by default those of these.
    count_servers : callable, optional
        Their number now; it is asked with each answer.
    """

    def __init__(
        self,
        first: int,
        most: int,
        servers: int = 1,
        *,
        ceiling: int | None = None,
        count_servers: Callable[[], int] | None = None,
    ) -> None:
        self._count_servers = count_servers
        self.most, self.ceiling = most, most if ceiling is None else ceiling
        self._most_each = most / servers
        self.failures = self.swapped_answers = 0
        self._servers = servers
        self._limit = min(first, most)
        self._fixed = first == most
        self._fastest_s = math.inf
        self._round_s: list[float] = []
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._limit

    def answered(self, took_s: float) -> None:
        """Learn from the time of one answer; the limit changes once in ``limit`` answers."""
        if self._count_servers is not None:
            self.share(self._count_servers())
        with self._lock:
            self._fastest_s = min(self._fastest_s, took_s)
            self._round_s.append(took_s)
            if self._fixed or len(self._round_s) < self._limit:
                return
            present_s = sum(self._round_s) / len(self._round_s)
            waiting = self._limit * (1 - self._fastest_s / present_s) if present_s else 0.0
            if waiting < WAITING_FEW * self._servers:
                self._limit = min(self._limit + 1, self.most)
            elif waiting > WAITING_MANY * self._servers:
                self._limit = max(self._limit - 1, 1)
            self._round_s.clear()

    def share(self, servers: int) -> None:
        """Allow for servers that have joined or left: each keeps its share of the limit."""
        with self._lock:
            if self._fixed or servers == self._servers:
                return
            self.most = min(max(round(self._most_each * servers), 1), self.ceiling)
            share = round(self._limit * servers / self._servers)
            self._limit = min(max(share, 1), self.most)
            self._servers = servers
            self._round_s.clear()

    def failed(self, *, swapped: bool = False) -> None:
        """Halve the share of a server that is full, gone or stopping, and start a new round."""
        with self._lock:
            self.failures += 1
            self.swapped_answers += swapped
            if not self._fixed:
                less = math.ceil(self._limit / (2 * self._servers))
                self._limit = max(self._limit - less, 1)
            self._round_s.clear()
