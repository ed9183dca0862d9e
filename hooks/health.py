"""What of the service is degraded, and what was counted: for ``/readyz``, ``/metrics`` and the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from threading import Lock

from cds.snapshot import REQUIRED_KINDS

OTHER = "other"
"""What is not one of ours: whatever is sent, the values of a label stay few and say nothing of a patient."""

_KINDS = {
    *REQUIRED_KINDS,
    *("AdverseEvent", "Device", "DeviceUsage", "DeviceUseStatement", "Flag", "Medication", "MedicationDispense"),
    *("MedicationStatement", "ResearchSubject", "ServiceRequest"),
}
_log = logging.getLogger("lenalidomide_cds")


class Counted(Enum):
    """What is counted: its name, the names of its labels, and what it means. No label ever holds anything of a patient."""

    FINDINGS = "findings", ("rule", "indicator", "outcome"), "Findings of the rules, shown on a card or not"
    CARDS = "cards", ("topic", "indicator"), "Cards in answers"
    UNREAD = "unread_resources", ("kind", "reason"), "Resources that came and could not be used"
    FHIR_FETCHES = "fhir_fetches", ("outcome",), "Reads and searches of what prefetch lacked"
    CALLS_REFUSED = "calls_refused", ("status",), "Calls of any page that were answered with an error"
    RECORDS_WRITTEN = "records_written", (), "Decisions and feedback that the database took"
    RECORDS_REFUSED = "records_refused", (), "Records that the database refused for their content"
    DECISIONS_DROPPED = "decisions_dropped", (), "Decisions that could not be kept, and so are in no record"
    FEEDBACK_NOT_RECORDED = "feedback_not_recorded", (), "Feedback that could not be kept, and was answered with a 503"
    TOKENS_IN_MEMORY = "tokens_checked_in_memory_only", (), "Tokens looked up without the store that all workers share"

    def __init__(self, metric: str, labels: tuple[str, ...], meaning: str) -> None:
        self.metric, self.labels, self.meaning = metric, labels, meaning

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.metric.replace("_", " ")


class Health:
    """One worker's view of what it depends on. An alarm is logged when a part fails and when it works again, not between."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failed: dict[str, str] = {}
        self._counts: Counter[tuple[Counted, tuple[str, ...]]] = Counter()

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

    def count(self, what: Counted, *labels: str, by: int = 1) -> None:
        """Add to a counter, for the values of its labels."""
        with self._lock:
            self._counts[what, labels] += by

    @property
    def degraded(self) -> Mapping[str, str]:
        """Why each part that does not work does not."""
        with self._lock:
            return dict(self._failed)

    @property
    def counted(self) -> Mapping[tuple[Counted, tuple[str, ...]], int]:
        """Everything counted since the worker started, for each combination of labels."""
        with self._lock:
            return dict(self._counts)

    @property
    def counts(self) -> Mapping[str, int]:
        """The same in words, whatever the labels."""
        totals: Counter[str] = Counter()
        for (what, _), times in self.counted.items():
            totals[what.words] += times
        return dict(totals)


def kind_named(kind: str) -> str:
    """A resource type as a label or a span may name it."""
    return kind if kind in _KINDS else OTHER


def one_line(text: object, longest: int = 200) -> str:
    """Text from outside as it may stand in a log: one line, printable, of bounded length."""
    return str(text)[:longest].encode("unicode_escape").decode("ascii")
