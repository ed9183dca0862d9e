"""The metrics at ``/metrics``, as Prometheus reads them: what is counted, timed and degraded, and nothing of a patient.

What an answer counts is added up in memory, by ``Health``, and written to the metrics before they are read and every few
seconds: to add one where all workers keep theirs costs several times as much.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from cds.evaluation import Evaluation
from cds.faults import whereabouts
from cds.findings import Outcome
from cds.protocol import Protocol
from hooks.decisions import OUTCOMES, software_version
from hooks.fetch_failures import Failure, outcome_of
from hooks.health import OTHER, Counted, Health, kind_named
from hooks.problems import Problem
from hooks.shared_metrics import WorkerFiles, keep_in_memory
from hooks.wire import SERVICES, Json

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
REFUSED, FAULT = "refused", "fault"
"""Outcomes of calls that are not answered, beside those of the decision record."""

_WRITTEN_EVERY = 5.0  # seconds
_NAMESPACE = "lenalidomide_cds"
_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
# An increase is seen only of what stood at nothing before.
_FROM_THE_START = (
    *((Counted.FHIR_FETCHES, outcome_of(failure)) for failure in (None, *Failure)),
    *((Counted.CALLS_REFUSED, str(problem.status)) for problem in Problem.__subclasses__()),
)


@dataclass(frozen=True)
class Queue:
    """What a worker keeps for the database: records (None where they cannot be counted), bytes, and the bound of these."""

    waiting: int | None = 0
    spool_bytes: int = 0
    spool_limit: int = 0


class Metrics:
    """One worker's metrics; with a ``folder`` they are kept there beside those of the other workers, and read together."""

    def __init__(self, health: Health, protocols: Iterable[Protocol], folder: Path | None = None) -> None:
        self._health = health
        self._files = self._shared_in(folder)
        self._registry = CollectorRegistry()
        # When each series began is of no use, and as many series again.
        disable_created_metrics()
        self._lock = Lock()
        self._seconds = self._timers()
        self._counters = {
            what: Counter(what.metric, what.meaning, what.labels, _NAMESPACE, registry=self._registry)
            for what in Counted
        }
        for what, label in _FROM_THE_START:
            self._counters[what].labels(label)
        self._written: Tally[tuple[Counted, tuple[str, ...]]] = Tally()
        self._degraded = self._gauge("degraded", "Workers for which a part of the service does not work", "part")
        self._ever_degraded = set[str]()
        self._waiting = self._gauge("records_waiting", "Records that wait for the database")
        self._spool_bytes = self._gauge("spool_bytes", "Size of the records that wait or were refused by the database")
        self._spool_limit = self._gauge("spool_limit_bytes", "Bound of that size")
        self._gauge("workers", "Worker processes").set(1)
        self._describe(protocols)

    def called(self, service: str, outcome: str, seconds: float) -> None:
        """A hook call has ended."""
        self._seconds[service, outcome].observe(seconds)

    def write(self, queue: Queue) -> None:
        """Bring the metrics up to what ``health`` knows and to what waits to be recorded."""
        with self._lock:
            counted, degraded = self._health.counted, self._health.degraded.keys()
            for (what, labels), times in counted.items():
                counter = self._counters[what]
                (counter.labels(*labels) if labels else counter).inc(times - self._written[what, labels])
            self._written = Tally(counted)
            self._ever_degraded |= degraded
            for part in self._ever_degraded:
                self._degraded.labels(part).set(part in degraded)
        if queue.waiting is not None:
            self._waiting.set(queue.waiting)
        self._spool_bytes.set(queue.spool_bytes)
        self._spool_limit.set(queue.spool_limit)

    def exposition(self) -> bytes:
        """What Prometheus reads: of all workers, where they share a folder."""
        return generate_latest(self._registry if self._files is None else self._files.of_all())

    def close(self) -> None:
        """Leave the place in the folder to another worker."""
        if self._files is not None:
            self._files.close()

    def _shared_in(self, folder: Path | None) -> WorkerFiles | None:
        """None where nothing is shared, or the disk fails: then this worker answers for itself alone."""
        try:
            if folder is not None:
                return WorkerFiles(folder)
        except OSError as error:
            self._health.fails("metrics", f"cannot be shared in {folder}: {error.strerror}")
        keep_in_memory()
        return None

    def _timers(self) -> dict[tuple[str, str], Histogram]:
        """One for each service and outcome, made once: to look it up by its labels costs as much as to use it."""
        seconds = Histogram(
            "hook_call_seconds",
            "Time to answer hook calls",
            ("service", "hook", "outcome"),
            namespace=_NAMESPACE,
            registry=self._registry,
            buckets=_BUCKETS,
        )
        ours = {
            (service, outcome): seconds.labels(service, hook, outcome)
            for service, hook in SERVICES.items()
            for outcome in (*OUTCOMES, REFUSED, FAULT)
        }
        return ours | {(OTHER, outcome): seconds.labels(OTHER, OTHER, outcome) for outcome in (REFUSED, FAULT)}

    def _describe(self, protocols: Iterable[Protocol]) -> None:
        """What runs: metrics that are always 1, for their labels."""
        build = self._gauge("build_info", "The version that runs", "version", mode="livemax")
        build.labels(software_version()).set(1)
        info = self._gauge(
            "protocol_info", "The protocols that it knows", "protocol", "version", "digest", mode="livemax"
        )
        for protocol in protocols:
            info.labels(protocol.id, protocol.full_version, protocol.digest).set(1)

    def _gauge(self, name: str, meaning: str, *labels: str, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
        """Of the workers that live: their sum, or the largest."""
        return Gauge(name, meaning, labels, namespace=_NAMESPACE, registry=self._registry, multiprocess_mode=mode)


def count_answer(health: Health, evaluation: Evaluation, cards: Iterable[Json]) -> None:
    """Count the findings and cards of an answer, and what came and could not be used."""
    for judgement in evaluation.judgements:
        for finding in judgement.findings:
            health.count(Counted.FINDINGS, finding.id, finding.indicator.value, finding.outcome.value)
    for card in cards:
        health.count(Counted.CARDS, card["source"]["topic"]["code"], card["indicator"])
    for unread in evaluation.unread:
        kind = unread.reference.partition("/")[0].partition(" ")[0]
        health.count(Counted.UNREAD, kind_named(kind), unread.fault.name.lower())


def fired_rules(evaluation: Evaluation) -> tuple[str, ...]:
    """The ids of the rules that fired, each once."""
    findings = (finding for judgement in evaluation.judgements for finding in judgement.findings)
    return tuple(dict.fromkeys(finding.id for finding in findings if finding.outcome is Outcome.FIRED))


@contextmanager
def repeated(write: Callable[[], None], health: Health) -> Iterator[None]:
    """Write the metrics every few seconds, in a thread of its own."""
    ends = Event()

    def run() -> None:
        while not ends.wait(_WRITTEN_EVERY):
            try:
                write()
            except Exception as error:  # noqa: BLE001 -- nobody else would notice that this thread died
                health.fails("metrics", whereabouts(error))

    thread = Thread(target=run, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
