"""Mixed load on a running service while its database, its FHIR server and its workers fail: is anything lost, wrong or refused?

    .venv/bin/python -m bench.faults [--minutes 30] [--share 0.7] [--rounds 5] [--callers 8] [--report FILE]

Makes a PostgreSQL cluster of its own, starts the service with an authenticated client and a FHIR server, finds out how many calls
a second this machine can make and answer, and makes a share of it: bundled requests moved to today (each answer is compared with
the right one), some of them with five prefetch keys to fetch, feedback, and faulty requests. In each round the database is
stopped as a crash does and started again, the FHIR server stalls, and a worker is killed. At the end it looks in the database for
every decision answered and every feedback acknowledged. Exit status 1 when one is missing, an answer was wrong, or a call failed
that was not on its way to a killed worker.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic
from typing import LiteralString

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from bench.faults.report import Fault, Outcome, failures, report
from bench.faults.running import Service, Use, service, until
from bench.faults.traffic import Callers, Tally, bundled_requests, resources, template
from tests.support.cluster import Cluster, cluster, programs
from tests.support.fhir_server import FhirServerProcess, running_fhir_server

_PORT = 8097
_WARM_UP = 15.0  # seconds, as fast as it goes
_SAMPLED_EVERY = 5.0


def main() -> int:
    options = _parser().parse_args()
    bin_folder = programs()
    if bin_folder is None:
        print("needs PostgreSQL's programs initdb and pg_ctl", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        database = stack.enter_context(cluster(bin_folder))
        outcome = _run(options, folder, database)
    text = report(outcome)
    print(text)
    if options.report:
        Path(options.report).write_text(text, encoding="utf-8")
    return 1 if failures(outcome) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.7, help="of the calls a second that are possible")
    parser.add_argument("--rounds", type=int, default=5, help="how often each fault happens")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--report", metavar="FILE", help="where to write the report, as Markdown")
    return parser


def _run(options: argparse.Namespace, folder: Path, database: Cluster) -> Outcome:
    day, key = datetime.now(UTC).date(), ec.generate_private_key(ec.SECP384R1())
    requests, held = bundled_requests(), folder / "resources.json"
    held.write_text(json.dumps(resources(requests.values())), encoding="utf-8")
    with ExitStack() as stack:
        fhir = stack.enter_context(running_fhir_server(folder, held))
        url = f"https://127.0.0.1:{fhir.tls}/well@/load"
        made = [template(name, request, url) for name, request in requests.items()]
        settings = {"DATABASE_URL": database.url, "CDS_CA_BUNDLE": fhir.ca_bundle}
        running = stack.enter_context(service(folder, _PORT, key, url, settings))
        callers = Callers(_PORT, key, made, options.callers, day)
        warm = callers.call(_WARM_UP, None)
        capacity = warm.statuses.total() / _WARM_UP
        begun = running.use()
        with _sampling(running) as samples, _failing(options, running, database, fhir) as faults:
            tally = callers.call(options.minutes * 60, capacity * options.share)
        drained = until(lambda: _waiting(database.url, tally.decisions) == 0)
        lost = _lost(tally, database.url)
    return Outcome(options.minutes, options.share, capacity, tally, faults, [begun, *samples], lost, drained)


@contextmanager
def _sampling(running: Service) -> Iterator[list[Use]]:
    """What the workers take, every few seconds."""
    samples: list[Use] = []
    with _beside(lambda stopping: _sample(running, samples, stopping)):
        yield samples


def _sample(running: Service, samples: list[Use], stopping: Event) -> None:
    while not stopping.wait(_SAMPLED_EVERY):
        samples.append(running.use())


@contextmanager
def _failing(
    options: argparse.Namespace, running: Service, database: Cluster, fhir: FhirServerProcess
) -> Iterator[list[Fault]]:
    """One fault after the other, each for a tenth of a round, with as much peace before and after."""
    faults: list[Fault] = []
    pause = options.minutes * 60 / options.rounds / 7
    planned: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("database stopped", database.stop, database.start),
        ("FHIR server stalls", lambda: os.kill(fhir.pid, signal.SIGSTOP), lambda: os.kill(fhir.pid, signal.SIGCONT)),
        ("worker killed", running.kill_a_worker, lambda: None),
    ]

    def fail(stopping: Event) -> None:
        for _ in range(options.rounds):
            for name, begin, end in planned:
                if stopping.wait(pause):
                    return
                began = monotonic()
                begin()
                stopping.wait(pause)
                end()
                faults.append(Fault(name, began, monotonic()))

    with _beside(fail):
        yield faults


@contextmanager
def _beside(work: Callable[[Event], None]) -> Iterator[None]:
    stopping = Event()
    thread = Thread(target=work, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _waiting(url: str, decisions: list[str]) -> int:
    """How many of the decisions that were answered are not in the database yet."""
    return len(set(decisions) - _recorded(url, "SELECT id FROM decision"))


def _lost(tally: Tally, url: str) -> dict[str, int]:
    return {
        "decisions": _waiting(url, tally.decisions),
        "feedback": len(set(tally.feedback) - _recorded(url, "SELECT card FROM feedback")),
    }


def _recorded(url: str, query: LiteralString) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute(query)}


if __name__ == "__main__":
    sys.exit(main())
