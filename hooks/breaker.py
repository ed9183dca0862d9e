"""A circuit breaker: what has failed again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic


class Breaker:
    """Open after ``failures`` in a row, for ``pause`` seconds; then one caller may try, and the others wait for its outcome."""

    def __init__(self, failures: int = 5, pause: float = 10.0, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._pause, self._clock = failures, pause, clock
        self._lock = Lock()
        self._in_a_row = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last word was that it does not work."""
        with self._lock:
            return self._in_a_row >= self._most

    def allows(self) -> bool:
        """Whether a try may be made now. Who is allowed tells the outcome by ``failed`` or ``worked``."""
        with self._lock:
            if self._in_a_row < self._most:
                return True
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + self._pause
            return True

    def failed(self) -> None:
        with self._lock:
            self._in_a_row += 1
            self._next_try = self._clock() + self._pause

    def worked(self) -> None:
        with self._lock:
            self._in_a_row = 0
