"""Traces, sent to a collector that decodes them; without one nothing is imported for them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from time import time_ns

import pytest
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.logs import formatter
from hooks.service_settings import service_settings
from hooks.settings import Fetching, Settings, SettingsError
from tests.support.collector import Collector, running_collector
from tests.support.fetching import Hospital as Ward
from tests.support.fhir_server import FhirServerProcess
from tests.support.hospital import ADVISED, ORDER_SIGN, bundled

ENDPOINT = f"/cds-services/{ORDER_SIGN}"
ROOT = f"POST {ENDPOINT}"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with running_collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def http(collector: Collector) -> Iterator[FlaskClient]:
    assert collector.endpoint
    app = create_app(Settings(tracing=True))
    yield app.test_client()
    app.extensions["service"].close()


def _close(http: FlaskClient) -> None:
    http.application.extensions["service"].close()


def test_a_hook_call_is_a_span_that_tells_what_was_called_and_what_came_of_it(
    http: FlaskClient, collector: Collector
) -> None:
    before = time_ns()
    response = http.post(ENDPOINT, json=bundled(ADVISED), headers={"X-Request-Id": "r-1"})
    _close(http)
    span = collector.named(ROOT)
    assert (span.kind, span.parent, span.failed) == ("server", "", False)
    assert before <= span.began <= span.ended <= time_ns()
    rules = span.attributes.pop("cds.rules")
    assert "vte.prophylaxis-missing" in rules
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/cds-services/{id}",
        "http.response.status_code": 200,
        "cds.request_id": "r-1",
        "cds.service": ORDER_SIGN,
        "cds.hook": "order-sign",
        "cds.client": "open",
        "cds.outcome": "advice",
        "cds.decision": response.headers["X-Decision-Id"],
        "cds.protocol": "fda-label",
    }
    assert collector.resource["service.name"] == "lenalidomide-cds"
    assert collector.resource["service.version"].startswith("0.1.0+")


def test_its_stages_are_its_children_one_after_the_other(http: FlaskClient, collector: Collector) -> None:
    http.post(ENDPOINT, json=bundled(ADVISED))
    _close(http)
    call = collector.named(ROOT)
    stages = collector.children(call)
    assert [stage.name for stage in stages] == [
        "caller",
        "decode",
        "fetch",
        "read",
        "judge",
        "cards",
        "encode",
        "record",
    ]
    assert {stage.trace for stage in stages} == {call.trace}
    assert all(one.ended == following.began for one, following in pairwise(stages))
    assert call.began <= stages[0].began
    assert stages[-1].ended <= call.ended


def test_the_trace_of_the_caller_goes_on(http: FlaskClient, collector: Collector) -> None:
    http.post(ENDPOINT, json=bundled(ADVISED), headers={"traceparent": PARENT})
    _close(http)
    span = collector.named(ROOT)
    assert (span.trace, span.parent) == (PARENT[3:35], PARENT[36:52])


@pytest.mark.parametrize("parent", ["", "00-0-0-01", "Edda Marsh", "00-" + "z" * 32 + "-00f067aa0ba902b7-01"])
def test_a_trace_that_cannot_be_read_is_no_reason_to_have_none(
    parent: str, http: FlaskClient, collector: Collector
) -> None:
    http.post(ENDPOINT, json=bundled(ADVISED), headers={"traceparent": parent})
    _close(http)
    assert collector.named(ROOT).parent == ""


def test_a_caller_that_does_not_want_to_be_traced_is_not(http: FlaskClient, collector: Collector) -> None:
    http.post(ENDPOINT, json=bundled(ADVISED), headers={"traceparent": PARENT[:-1] + "0"})
    _close(http)
    assert collector.spans == []


def test_a_refused_call_is_a_span_and_a_fault_is_marked_as_an_error(
    http: FlaskClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.post(ENDPOINT, json={})
    monkeypatch.setattr(http.application.extensions["service"], "answer", lambda *_: 1 / 0)
    http.post("/cds-services/Edda-Marsh", json={})
    _close(http)
    refused, fault = collector.named(ROOT), collector.named("POST /cds-services/other")
    assert (refused.attributes["cds.outcome"], refused.failed) == ("refused", False)
    assert (fault.attributes["cds.outcome"], fault.attributes["http.response.status_code"], fault.failed) == (
        "fault",
        500,
        True,
    )


def test_other_pages_are_not_traced(http: FlaskClient, collector: Collector) -> None:
    for path in ("/cds-services", "/metrics", "/healthz", ENDPOINT):
        http.get(path)
    _close(http)
    assert collector.spans == []


def _fetched(ward: Ward, collector: Collector, budget: float = 10) -> Collector:
    app = create_app(Settings(ward.client, tracing=True, fetching=Fetching(budget=budget)))
    request = json.loads(json.dumps(ward.request(), default=str))
    assert app.test_client().post(ENDPOINT, json=request).status_code == 200
    app.extensions["service"].close()
    return collector


def test_each_fetch_is_a_client_span_that_the_fhir_server_is_told_of(
    collector: Collector, fhir_server: FhirServerProcess
) -> None:
    ward = Ward(fhir_server, "status=403", target="Condition")
    spans = [span for span in _fetched(ward, collector).spans if span.kind == "client"]
    call = collector.named(ROOT)
    assert len(spans) == len(fhir_server.requests(ward.name)) == 12
    assert {(span.trace, span.parent) for span in spans} == {(call.trace, call.id)}
    (refused,) = [span for span in spans if span.failed]
    assert refused.name == "GET Condition"
    assert refused.attributes == {
        "http.request.method": "GET",
        "cds.fhir.kind": "Condition",
        "cds.fhir.server": ward.base,
        "cds.outcome": "forbidden",
    }
    assert {span.attributes["cds.outcome"] for span in spans if span is not refused} == {"fetched"}
    told = {one["traceparent"].rpartition("-")[0] for one in fhir_server.requests(ward.name)}
    assert told == {f"00-{call.trace}-{span.id}" for span in spans}


def test_a_fetch_that_is_given_up_ends_when_it_is(collector: Collector, fhir_server: FhirServerProcess) -> None:
    ward = Ward(fhir_server, "wait", target="Condition")
    spans = [span for span in _fetched(ward, collector, budget=0.5).spans if span.kind == "client"]
    (given_up,) = [span for span in spans if span.failed]
    assert given_up.attributes["cds.outcome"] == "timeout"
    others = [span for span in spans if span is not given_up]
    assert max(span.ended for span in others) < given_up.ended


def test_a_line_of_the_log_names_the_trace(
    http: FlaskClient, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter("json"))
    logger = logging.getLogger("lenalidomide_cds")
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO):
        http.post(ENDPOINT, data=b"no JSON")
    logger.removeHandler(handler)
    _close(http)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert lines
    assert {line["trace_id"] for line in lines} == {collector.named(ROOT).trace}


def test_the_names_that_the_operator_gives_win(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "lenalidomide-cds-ward-7")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    app = create_app(Settings(tracing=True))
    app.test_client().post(ENDPOINT, json={})
    app.extensions["service"].close()
    assert collector.resource["service.name"] == "lenalidomide-cds-ward-7"
    assert collector.resource["deployment.environment"] == "test"


def test_a_collector_that_is_gone_keeps_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    app = create_app(Settings(tracing=True))
    assert app.test_client().post(ENDPOINT, json=bundled(ADVISED)).status_code == 200
    app.extensions["service"].close()


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(http: FlaskClient, collector: Collector) -> None:
    collector.answers.clear()
    http.post(ENDPOINT, json={})
    _close(http)
    assert "last traces" in {thread.name for thread in threading.enumerate()}
    collector.answers.set()


def test_without_a_collector_nothing_is_imported_for_traces() -> None:
    program = (
        "import sys; from hooks.app import create_app; from hooks.service_settings import service_settings\n"
        "create_app(service_settings()).test_client().post('/cds-services/lenalidomide-order-sign', json={})\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_the_standard_variables_turn_traces_on(
    variables: dict[str, str], expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert service_settings().tracing is expected


def test_another_protocol_than_ours_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', expected http/protobuf"):
        service_settings()
