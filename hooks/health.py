"""What of the service is degraded, and what was counted: for ``/readyz`` and the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from threading import Lock

_log = logging.getLogger("lenalidomide_cds")


class Health:
    """One worker's view of what it depends on. An alarm is logged when a part fails and when it works again, not between."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failed: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def fails(self, part: str, why: str) -> None:
        """``part`` (``database``, ``FHIR server https://…``) does not work; ``why`` is written without secrets."""
        with self._lock:
            is_new = part not in self._failed
            self._failed[part] = why
        if is_new:
            _log.error("degraded: %s: %s", part, why)

    def works(self, part: str) -> None:
        """``part`` works, again or still."""
        with self._lock:
            was_failing = self._failed.pop(part, None) is not None
        if was_failing:
            _log.warning("works again: %s", part)

    def count(self, what: str, by: int = 1) -> None:
        """Add to a counter (``decisions dropped``)."""
        with self._lock:
            self._counts[what] += by

    @property
    def degraded(self) -> Mapping[str, str]:
        """Why each part that does not work does not."""
        with self._lock:
            return dict(self._failed)

    @property
    def counts(self) -> Mapping[str, int]:
        """Everything counted since the worker started."""
        with self._lock:
            return dict(self._counts)


def one_line(text: object, longest: int = 200) -> str:
    """Text from outside as it may stand in a log: one line, printable, of bounded length."""
    return str(text)[:longest].encode("unicode_escape").decode("ascii")
