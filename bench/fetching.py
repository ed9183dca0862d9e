"""What prefetch lacks is fetched: how long that takes with a slow FHIR server, and with one that stalls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import OK, HTTPConnection
from logging import WARNING, getLogger
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter
from typing import Any

import orjson
from flask import Flask, Response, request
from werkzeug.serving import make_server

from bench.effort import Effort
from bench.hook_requests import TYPICAL, encoded, order_sign
from bench.processes import HOST, Server, post, product
from cds.terminology import load_terminology
from hooks.prefetch import templates

Figures = dict[str, Any]

_BUDGET = 400  # milliseconds
_PORT = 8703
_BASE = f"http://{HOST}:{_PORT}/fhir"
_LACKING = ("counts", "kidney", "vitals", "chemistry", "medications")
_A_READ = 0.1  # seconds
_STALL = 10.0


def measure(effort: Effort) -> Figures:
    """Milliseconds of calls from one client, with each of the two servers; each is met by a service that knows nothing of it."""
    return {
        "keys": list(_LACKING),
        "slow": _calls(_A_READ, max(20, effort.calls // 5)),
        "stalling": _calls(_STALL, 20),
    }


def _calls(delay: float, calls: int) -> Figures:
    whole = order_sign(TYPICAL, datetime.now(UTC).date(), in_order=True)
    fetched = {key: whole["prefetch"].pop(key) for key in _LACKING}
    scope = {"access_token": "made-up", "token_type": "Bearer", "expires_in": 600, "scope": "patient/*.read"}
    body = encoded({**whole, "fhirServer": _BASE, "fhirAuthorization": {**scope, "subject": "lenalidomide-cds"}})
    with TemporaryDirectory() as folder:
        environment = {"CDS_DATA": folder, "CDS_FHIR_SERVERS": _BASE, "CDS_FETCH_BUDGET_MS": str(_BUDGET)}
        with (
            product({**environment, "CDS_WORKERS": "1"}) as server,
            _fhir_server(_searches(whole["context"]["patientId"], fetched), delay) as reads,
        ):
            answers = [_timed(server, body) for _ in range(calls)]
    taken = [milliseconds for milliseconds, _ in answers]
    return {
        "calls": calls,
        "reads": len(reads),
        "complete": sum(is_complete for _, is_complete in answers),
        "p50": quantiles(taken, n=100)[49],
        "p95": quantiles(taken, n=100)[94],
        "longest": max(taken),
    }


def _timed(server: Server, body: bytes) -> tuple[float, bool]:
    """The milliseconds of an answer, and whether it had all data: then the renewal is in order, and no card comes."""
    connection = HTTPConnection(HOST, server.port, timeout=30)
    connection.connect()
    begun = perf_counter()
    status, answer = post(connection, body)
    taken = (perf_counter() - begun) * 1000
    connection.close()
    if status != OK:
        raise RuntimeError(answer.decode())
    return taken, not orjson.loads(answer)["cards"]


def _searches(patient: str, fetched: Mapping[str, Any]) -> Mapping[str, bytes]:
    """What a FHIR server says to the searches that discovery names."""
    asked = templates(load_terminology())
    return {
        asked[key].replace("{{context.patientId}}", patient): orjson.dumps(bundle) for key, bundle in fetched.items()
    }


@contextmanager
def _fhir_server(answers: Mapping[str, bytes], delay: float) -> Iterator[list[str]]:
    """Takes its time for each read; yields the reads it was asked for."""
    reads: list[str] = []
    stopping = Event()
    app = Flask("fhir", static_folder=None)

    @app.get("/fhir/<kind>")
    def search(kind: str) -> Response:
        reads.append(kind)
        stopping.wait(delay)
        found = answers.get(f"{kind}?{request.query_string.decode()}")
        return Response(found or b"", 200 if found else 404, content_type="application/fhir+json")

    getLogger("werkzeug").setLevel(WARNING)  # it would tell of each read
    server = make_server(HOST, _PORT, app, threaded=True)
    Thread(target=server.serve_forever).start()
    try:
        yield reads
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
