"""How many requests may be under way: as many as keep the server busy, and few more."""

from __future__ import annotations

import math
import threading

WAITING_FEW, WAITING_MANY = 1.0, 2.0
"""Requests that wait in the server: below the first one more is sent, above the second one less."""


class Window:
    """Grows and shrinks as TCP Vegas does (doi 10.1109/49.464716).

    Of ``limit`` requests under way, ``limit * (1 - fastest / present)`` wait for others, where
    ``fastest`` is the least time that an answer took and ``present`` that of the last round.
    A failure that may pass halves the window. Used from several threads.

    Parameters
    ----------
    first, most : int
        Requests at the start and at most; alike, they never change.
    """

    def __init__(self, first: int, most: int) -> None:
        self.most = most
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
            if waiting < WAITING_FEW:
                self._limit = min(self._limit + 1, self.most)
            elif waiting > WAITING_MANY:
                self._limit = max(self._limit - 1, 1)
            self._round_s.clear()

    def failed(self) -> None:
        """The server is full, gone or stopping: half as many, and the round begins anew."""
        with self._lock:
            if not self._fixed:
                self._limit = max(self._limit // 2, 1)
            self._round_s.clear()
