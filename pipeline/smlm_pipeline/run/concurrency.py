"""How many requests may be under way: as many as keep the server busy, and few more."""

from __future__ import annotations

import math
import threading

WAITING_FEW, WAITING_MANY = 1.0, 2.0
"""Requests that wait in each server: below the first one more is sent, above the second fewer."""


class ConcurrencyLimit:
    """Grows and shrinks as TCP Vegas does (doi 10.1109/49.464716).

    Of ``limit`` requests under way, ``limit * (1 - fastest / present)`` wait for others, where
    ``fastest`` is the least time that an answer took and ``present`` that of the last round.
    A failure that may pass halves the window, or one server's share of it. Used from several
    threads.

    Parameters
    ----------
    first, most : int
        Requests at the start and at most; alike, they never change.
    servers : int
        How many servers share the requests, and as many may wait in each.
    """

    def __init__(self, first: int, most: int, servers: int = 1) -> None:
        self.most = most
        self.failures = 0
        self._servers = servers
        self._limit = min(first, most)
        self._fixed = first == most
        self._fastest_s = math.inf
        self._round_s: list[float] = []
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return self._limit

    def answered(self, took_s: float) -> None:
        """Learn from the time that one request took; acts once in a round of ``limit`` answers."""
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

    def failed(self) -> None:
        """A server is full, gone or stopping: half as many to it, and the round begins anew."""
        with self._lock:
            self.failures += 1
            if not self._fixed:
                less = math.ceil(self._limit / (2 * self._servers))
                self._limit = max(self._limit - less, 1)
            self._round_s.clear()
