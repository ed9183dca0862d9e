"""Whether an answer has become dearer: its cost beside the empty handler's, in this process, without any absolute time.

``python -m bench.guard`` fails when the part of the empty handler's speed that remains has fallen by more than a quarter below
the one that is committed; ``--update`` commits today's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import thread_time

from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bench import empty_handler
from bench.hook_requests import TYPICAL, bodies, of_its_own
from bench.processes import PATH
from hooks.app import create_app
from hooks.service import Service
from hooks.settings import Settings, Storage
from hooks.worker import keep_knowledge_from_the_collector

_COMMITTED = Path(__file__).with_name("guard.json")
_LEAST = 0.75  # of the committed ratio
_ROUNDS, _TURNS = 5, 12
_ANSWERS, _EMPTY = 6, 30  # calls of a turn: enough of the short ones to be measured as well as the long ones

Spend = Callable[[int], float]
"""Makes so many calls; tells the processor time of one. What other processes and threads do is not in it."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--update", action="store_true", help="commit today's ratio instead")
    options = parser.parse_args(arguments)
    with _applications() as (product, empty):
        if options.update:
            _COMMITTED.write_text(json.dumps({"ratio": round(_ratio(product, empty), 4)}) + "\n", encoding="utf-8")
            return 0
        least = json.loads(_COMMITTED.read_text(encoding="utf-8"))["ratio"] * _LEAST
        for _ in range(2):
            ratio = _ratio(product, empty)
            print(f"{ratio:.4f} of the empty handler's speed remains, at least {least:.4f} is asked for")
            if ratio >= least:
                return 0
    print("An answer has become dearer. If it is worth it: python -m bench.guard --update", file=sys.stderr)
    return 1


def _ratio(product: Spend, empty: Spend) -> float:
    """The two in short turns, so that what disturbs the one disturbs the other."""
    rounds = []
    for _ in range(_ROUNDS):
        turns = [(product(_ANSWERS), empty(_EMPTY)) for _ in range(_TURNS)]
        rounds.append(sum(nothing for _, nothing in turns) / sum(answer for answer, _ in turns))
    return median(rounds)


@contextmanager
def _applications() -> Iterator[tuple[Spend, Spend]]:
    """The service and the empty handler, warm and as a worker has them."""
    with TemporaryDirectory() as name:
        settings = Settings(storage=Storage(Path(name), f"sqlite:///{name}/decisions.sqlite"))
        app = create_app(settings)
        service: Service = app.extensions["service"]
        both = _spending(app), _spending(empty_handler.create_app(settings))
        keep_knowledge_from_the_collector()
        try:
            for spend in both:
                spend(_EMPTY)
            yield both
        finally:
            service.close()


def _spending(app: Flask) -> Spend:
    sent = cycle(bodies(TYPICAL, datetime.now(UTC).date()))

    def spend(calls: int) -> float:
        environs = [_environ(of_its_own(body)) for body in islice(sent, calls)]
        begun = thread_time()
        statuses = {run_wsgi_app(app, environ, buffered=True)[1] for environ in environs}
        taken = thread_time() - begun
        assert statuses == {"200 OK"}, statuses
        return taken / calls

    return spend


def _environ(body: bytes) -> dict[str, object]:
    return EnvironBuilder(method="POST", path=PATH, data=body, content_type="application/json").get_environ()


if __name__ == "__main__":
    sys.exit(main())
