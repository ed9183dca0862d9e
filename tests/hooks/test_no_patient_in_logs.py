"""No log, no metric and no trace names a patient, whatever is sent; ``conftest.py`` looks at the log of all other tests too."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.clients import Client
from hooks.settings import Fetching, Settings, Storage
from hooks.wire import SERVICES
from tests.support.collector import running_collector
from tests.support.exposition import scraped
from tests.support.fetching import AUTHORIZATION
from tests.support.fetching import Hospital as Ward
from tests.support.fhir_server import FhirServerProcess
from tests.support.fixtures import INVALID, ODD, REQUESTS, service_of
from tests.support.hospital import ADVISED, ORDER_SIGN, bundled, wait_for
from tests.support.log_watch import LogWatch
from tests.support.patients import unmistakable_words, words_of_patients_in

Json = dict[str, Any]
PATIENT, NAME = "pt-edda-marsh", "Edda Marsh"
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nowhere"


@pytest.fixture
def watch() -> Iterator[LogWatch]:
    """Everything that is logged at any level."""
    watch = LogWatch()
    watch.start()
    yield watch
    logging.getLogger().removeHandler(watch)


def test_the_words_looked_for_are_those_of_the_patients_and_none_that_could_be_anything() -> None:
    words = unmistakable_words()
    assert {PATIENT, NAME, "Marsh", "Edda", "-MARSH", "1955-10-03", "555-0142", "14 Mill Lane", "patient-1"} <= words
    assert {"Davis923", "999-72-4764", "pt-odd-1"} <= words
    assert not words & {"", "None", "1", "p", "A-1", "Ida", "Noa", "US", "Lindenhof", "female"}


@pytest.mark.parametrize("text", [f"of {PATIENT}.", "Patient/pt-edda-marsh?", '"Marsh"', "born=1955-10-03"])
def test_a_line_that_names_a_patient_is_found(text: str) -> None:
    watch, logger = LogWatch(), logging.getLogger("of this test")
    logger.propagate = False
    logger.addHandler(watch)
    logger.debug("a line about %s", "Marshall, marsh, pt-edda-marshes")
    assert watch.leaks() == []
    logger.debug("a line %s", text)
    logger.error("another", extra={"fields": {"service": text}})
    assert len(watch.leaks()) == 2
    assert watch.leaks() == []


def test_every_fixture_answered_or_refused_leaves_no_patient_in_the_log(watch: LogWatch, tmp_path: Path) -> None:
    settings = Settings(storage=Storage(tmp_path, UNREACHABLE))
    app = create_app(settings)
    http = app.test_client()
    for file in sorted([*REQUESTS.glob("*.json"), *ODD.glob("*"), *INVALID.glob("*")]):
        for service in SERVICES:
            http.post(f"/cds-services/{service}", data=file.read_bytes(), headers={"X-Request-Id": "r-1"})
    http.post(f"/cds-services/{ORDER_SIGN}/feedback", json={"feedback": [{"card": PATIENT, "outcome": NAME}]})
    http.post(f"/cds-services/{ORDER_SIGN}/feedback", json={"feedback": [_feedback()]})
    told = scraped(http)
    app.extensions["service"].close()
    assert told.value("hook_call_seconds_count") > 250
    assert watch.leaks() == []
    assert words_of_patients_in(told.text) == set()


def _feedback() -> Json:
    reason = {"reason": {"code": PATIENT}, "userComment": f"{NAME} was here"}
    return {"card": "6f1c2c2e-1b1f-4f2c-9a51-0d6a3f0b7c12", "outcome": "overridden", "overrideReason": reason}


HOSTILE: dict[str, Json] = {
    "hook": {"hook": PATIENT},
    "hook instance": {"hookInstance": NAME},
    "user": {"context": {"userId": PATIENT}},
    "prefetch key": {"prefetch": {PATIENT: {"resourceType": NAME}, f"Patient/{PATIENT}": {"resourceType": "Bundle"}}},
    "kind": {"prefetch": {"counts": {"resourceType": PATIENT, "id": NAME}}},
    "OperationOutcome": {
        "prefetch": {
            "counts": {
                "resourceType": "OperationOutcome",
                "issue": [{"severity": "error", "code": PATIENT, "diagnostics": NAME, "details": {"text": NAME}}],
            }
        }
    },
    "address of a server": {"fhirServer": f"https://ehr.example/fhir/Patient/{PATIENT}?name={NAME}"},
    "server in the user's part": {"fhirServer": f"https://{PATIENT}:{NAME}@ehr.example/fhir"},
    "no address": {"fhirServer": f"//{PATIENT}"},
    "scope": {"fhirAuthorization": {**AUTHORIZATION, "scope": PATIENT, "patient": PATIENT}},
    "protocol": {"extension": {"org.lenalidomide-maintenance.protocol": PATIENT}},
    "now": {"extension": {"org.lenalidomide-maintenance.now": NAME}},
    "card profile": {"extension": {"org.lenalidomide-maintenance.card-profile": NAME}},
}


@pytest.mark.parametrize("changed", HOSTILE.values(), ids=HOSTILE)
def test_a_patients_name_where_none_belongs_is_not_logged(changed: Json, watch: LogWatch) -> None:
    http = create_app(Settings(fetching=Fetching(budget=0.2))).test_client()
    plain = {"fhirServer": "https://ehr.example/fhir", "fhirAuthorization": AUTHORIZATION, "prefetch": {}}
    http.post(f"/cds-services/{ORDER_SIGN}", json={**bundled(ADVISED), **plain, **changed})
    assert watch.leaks() == []
    assert words_of_patients_in(scraped(http).text) == set()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        f"/Patient/{PATIENT}",
        f"/cds-services/{PATIENT}",
        f"/cds-services/{quote(NAME)}/feedback",
        f"/cds-services/{ORDER_SIGN}?patient={PATIENT}",
        f"/cds-services/{ORDER_SIGN}/{PATIENT}",
    ],
)
def test_a_patients_name_in_a_path_is_not_logged(method: str, path: str, watch: LogWatch) -> None:
    http: FlaskClient = create_app(Settings()).test_client()
    headers = {"X-Request-Id": NAME, "traceparent": PATIENT, "Origin": f"https://{PATIENT}", "User-Agent": NAME}
    http.open(path, method=method, data=f"{NAME} is no JSON", headers={**headers, "Content-Encoding": PATIENT})
    http.open(path, method=method, data=f'{{"{NAME}": "{PATIENT}"}}', headers=headers)
    assert watch.leaks() == []
    assert words_of_patients_in(scraped(http).text) == set()


def test_a_fault_that_repeats_the_patients_data_is_logged_without_them(
    watch: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ("hooks.service.answered", "hooks.service.decode", "hooks.fetching.read_resources"):
        with monkeypatch.context() as patched:
            patched.setattr(broken, lambda *_, **__: int(NAME))
            http = create_app(Settings()).test_client()
            request = {**bundled(ADVISED), "fhirServer": "https://ehr.example", "fhirAuthorization": AUTHORIZATION}
            http.post(f"/cds-services/{ORDER_SIGN}", json=request)
    assert watch.leaks() == []


@pytest.mark.parametrize(
    "behaviour", ["well", "status=500", "html", "other-patient", "redirect-elsewhere", "hang-up", "deep"]
)
def test_neither_the_log_nor_the_trace_of_a_fetch_names_a_patient(
    behaviour: str, watch: LogWatch, fhir_server: FhirServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = Ward(fhir_server, behaviour)
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        app = create_app(Settings(Client(fhir_servers=(ward.server,)), tracing=True, fetching=Fetching(budget=5)))
        request = json.loads(json.dumps(ward.request(), default=str))
        page = {"link": [{"relation": "next", "url": f"{ward.base}/Observation?name={PATIENT}"}]}
        odd = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": PATIENT}}], **page}
        request["prefetch"] = {PATIENT: odd}
        app.test_client().post(f"/cds-services/{ORDER_SIGN}", json=request, headers={"tracestate": f"ehr={PATIENT}"})
        app.extensions["service"].close()
        assert "GET other" in {span.name for span in collector.spans if span.kind == "client"}
        sent = b"".join(collector.bodies).decode("utf-8", "replace")
    assert words_of_patients_in(sent) == set()
    assert watch.leaks() == []


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, Path]]:
    """The service as it is run: its address, and the file of its standard error."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "CDS_DATA": str(folder / "data"), "CDS_EXPLAIN": "1"}
    command = [str(Path(sys.executable).with_name("lenalidomide-cds")), "serve", "--port", str(port)]
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(base))
        yield base, log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _answers(base: str) -> bool:
    try:
        return requests.get(f"{base}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_the_service_as_it_is_run_writes_json_without_a_patient(tmp_path: Path) -> None:
    with _served(tmp_path) as (base, log):
        for file in sorted([*REQUESTS.glob("*.json"), *ODD.glob("*.json"), *INVALID.glob("*")]):
            service = service_of(json.loads(file.read_bytes())["hook"]) if file.parent != INVALID else ORDER_SIGN
            requests.post(f"{base}/cds-services/{service}", data=file.read_bytes(), timeout=30)
        requests.get(f"{base}/Patient/{PATIENT}", timeout=30)
        with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2]))) as rude:
            rude.sendall(f"GET /Patient/{PATIENT} {NAME}\r\nX-{NAME}: {PATIENT}\r\n\r\n".encode())
            rude.recv(1000)
        told = requests.get(f"{base}/metrics", timeout=30).text
        # What the workers share is there while they run, and gone after.
        assert len(list((tmp_path / "data").glob("metrics-*"))) == 1
    assert list((tmp_path / "data").glob("metrics-*")) == []
    text = log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert sum(line["message"] == "hook call" for line in lines) > 90
    assert words_of_patients_in(text) == set()
    assert words_of_patients_in(told) == set()
