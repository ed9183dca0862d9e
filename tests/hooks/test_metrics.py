"""What ``/metrics`` counts and times, and that nothing of a patient, and nothing without bound, stands in it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hooks.app import create_app
from hooks.clients import Client, Identity
from hooks.fetch_failures import Failure
from hooks.health import Counted
from hooks.problems import Problem
from hooks.settings import Fetching, Settings, Tokens
from hooks.wire import SERVICES
from tests.support.exposition import NAMESPACE, scraped
from tests.support.fetching import AUTHORIZATION
from tests.support.fetching import Hospital as Ward
from tests.support.fhir_server import FhirServerProcess
from tests.support.fixtures import INVALID, ODD, REQUESTS, load, service_of
from tests.support.hospital import ADVISED, IN_ORDER, ORDER_SIGN, bundled, hospital, wait_for

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nowhere"
CALLS = "hook_call_seconds_count"


@pytest.mark.parametrize(
    ("request_file", "outcome"),
    [
        (ADVISED, "advice"),
        (IN_ORDER, "in order"),
        ("order-sign-missing-cbc", "could not check"),
        ("odd/text-only-other-drug", "not our drug"),
    ],
)
def test_an_answered_call_is_timed_by_service_hook_and_outcome(request_file: str, outcome: str) -> None:
    http = create_app(Settings()).test_client()
    http.post(f"/cds-services/{ORDER_SIGN}", json=bundled(request_file))
    told = scraped(http)
    assert told.value(CALLS) == 1
    assert told.value(CALLS, service=ORDER_SIGN, hook="order-sign", outcome=outcome) == 1
    assert 0 < told.value("hook_call_seconds_sum") < 60


def test_a_refused_call_is_counted_by_its_status_and_timed() -> None:
    http = create_app(Settings()).test_client()
    http.post(f"/cds-services/{ORDER_SIGN}", data="no JSON")
    http.post("/cds-services/another", json={})
    http.get("/nowhere")
    told = scraped(http)
    assert told.value(CALLS, service=ORDER_SIGN, outcome="refused") == 1
    assert told.value(CALLS, service="other", hook="other", outcome="refused") == 1
    assert told.value("calls_refused_total", status="400") == 1
    assert told.value("calls_refused_total", status="404") == 2


def test_a_fault_of_the_service_is_an_outcome_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Settings())
    monkeypatch.setattr(app.extensions["service"], "answer", lambda *_: 1 / 0)
    http = app.test_client()
    assert http.post(f"/cds-services/{ORDER_SIGN}", json={}).status_code == 500
    assert scraped(http).value(CALLS, service=ORDER_SIGN, outcome="fault") == 1
    assert scraped(http).value("calls_refused_total", status="500") == 1


@pytest.mark.parametrize("broken", ["hooks.service.count_answer", "hooks.metrics.Metrics.called"])
def test_an_answer_goes_out_whatever_happens_to_what_is_told_of_it(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broken, lambda *_: 1 / 0)
    response = create_app(Settings()).test_client().post(f"/cds-services/{ORDER_SIGN}", json=bundled(ADVISED))
    assert response.status_code == 200
    assert len(response.get_json()["cards"]) == 1
    assert "not observed: ZeroDivisionError" in caplog.text


def test_pages_that_are_no_hook_call_are_not_timed_as_one() -> None:
    http = create_app(Settings()).test_client()
    for path in ("/cds-services", "/healthz", "/readyz", "/metrics", f"/cds-services/{ORDER_SIGN}"):
        http.get(path)
    http.post(f"/cds-services/{ORDER_SIGN}/feedback", json={})
    http.options(f"/cds-services/{ORDER_SIGN}")
    assert scraped(http).value(CALLS) == 0


def test_every_finding_is_counted_by_rule_indicator_and_outcome_and_every_card_by_topic() -> None:
    http = create_app(Settings(explain=True)).test_client()
    findings: Counter[tuple[str, str, str]] = Counter()
    cards: Counter[tuple[str, str]] = Counter()
    for file in sorted(REQUESTS.glob("*.json")):
        answer: dict[str, Any] = http.post(
            f"/cds-services/{service_of(load(file)['hook'])}", json=load(file)
        ).get_json()
        # Drafts that are one regimen share its findings.
        drafts = answer["extension"]["org.lenalidomide-maintenance.evaluation"]["drafts"]
        judged = {json.dumps(draft["findings"]): draft["findings"] for draft in drafts}.values()
        findings.update((one["id"], one["indicator"], one["outcome"]) for listed in judged for one in listed)
        cards.update((card["source"]["topic"]["code"], card["indicator"]) for card in answer["cards"])
    told = scraped(http)
    assert {
        (rule, indicator, outcome): told.value("findings_total", rule=rule, indicator=indicator, outcome=outcome)
        for rule, indicator, outcome in findings
    } == findings
    assert told.value("findings_total") == findings.total()
    assert {(topic, of): told.value("cards_total", topic=topic, indicator=of) for topic, of in cards} == cards
    assert told.value("cards_total") == cards.total()


def test_what_could_not_be_read_is_counted_by_kind_and_reason() -> None:
    request = bundled(IN_ORDER)
    listed = request["prefetch"]["counts"]["entry"]
    listed[0]["resource"]["valueQuantity"] = {"value": 4, "unit": "Marsh"}
    listed[1]["resource"]["subject"] = {"reference": "Patient/someone-else"}
    http = create_app(Settings()).test_client()
    http.post(f"/cds-services/{ORDER_SIGN}", json=request)
    told = scraped(http)
    assert told.value("unread_resources_total", kind="Observation", reason="unit") == 1
    assert told.value("unread_resources_total", kind="Observation", reason="foreign") == 1
    assert told.value("unread_resources_total") == 2


def test_a_fetch_is_counted_by_its_outcome_and_every_outcome_stands_at_nothing_before(
    fhir_server: FhirServerProcess,
) -> None:
    ward = Ward(fhir_server, "status=403", target="Observation")
    settings = Settings(Client(fhir_servers=(ward.server,)), fetching=Fetching(budget=10))
    http = create_app(settings).test_client()
    assert '_fhir_fetches_total{outcome="timeout"} 0.0' in scraped(http).text
    http.post(f"/cds-services/{ORDER_SIGN}", json=json.loads(json.dumps(ward.request(), default=str)))
    told = scraped(http)
    assert told.value("fhir_fetches_total", outcome="fetched") == 5
    assert told.value("fhir_fetches_total", outcome="forbidden") == 7
    assert told.value("fhir_fetches_total") == 12
    for failure in Failure:
        assert f'_fhir_fetches_total{{outcome="{failure.name.lower()}"}}' in told.text
    for problem in Problem.__subclasses__():
        assert f'_calls_refused_total{{status="{problem.status}"}}' in told.text


def test_what_waits_for_the_database_is_told_with_its_bound(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE, spool_bytes=1_000_000) as running:
        running.post(ADVISED)
        running.post(ADVISED)
        told = scraped(running.http)
        assert told.value("records_waiting") == 2
        assert 1000 < told.value("spool_bytes") < 1_000_000
        assert told.value("spool_limit_bytes") == 1_000_000
        wait_for(lambda: scraped(running.http).value("degraded", part="database") == 1)


def test_what_was_written_and_what_was_dropped_is_counted(tmp_path: Path) -> None:
    with hospital(tmp_path / "well") as running:
        running.post(ADVISED)
        running.wait_until_recorded()
        told = scraped(running.http)
        assert told.value("records_written_total") == 1
        assert told.value("records_waiting") == 0
        assert told.value("degraded") == 0
    with hospital(tmp_path / "full", UNREACHABLE, spool_bytes=10) as running:
        running.post(ADVISED)
        running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]})
        told = scraped(running.http)
        assert told.value("decisions_dropped_total") == 1
        assert told.value("feedback_not_recorded_total") == 1
        assert told.value("degraded", part="spool") == 1


def test_a_part_that_works_again_is_told_as_such() -> None:
    app = create_app(Settings())
    health = app.extensions["service"].health
    health.fails("FHIR server https://ehr.example/fhir", "no answer in time")
    assert scraped(app.test_client()).value("degraded", part="FHIR server https://ehr.example/fhir") == 1
    health.works("FHIR server https://ehr.example/fhir")
    told = scraped(app.test_client())
    assert 'degraded{part="FHIR server https://ehr.example/fhir"} 0.0' in told.text


def test_what_runs_is_told() -> None:
    told = scraped(create_app(Settings()).test_client())
    assert told.value("build_info") == 1
    assert told.labels("build_info", "version").pop().startswith("0.1.0+")
    assert told.value("protocol_info", protocol="fda-label") == 1
    assert told.value("workers") == 1


def test_metrics_need_no_token_and_are_kept_by_nobody() -> None:
    identity = Identity("https://ehr.example", key_sets=("https://ehr.example/keys",))
    http = create_app(
        Settings(clients=(Client("ehr", identity),), tokens=Tokens(("https://cds.example",)))
    ).test_client()
    assert http.get("/cds-services").status_code == 401
    response = http.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")
    assert response.headers["Cache-Control"] == "no-store"


def test_whatever_is_sent_the_values_of_labels_are_few_and_our_own() -> None:
    http = create_app(Settings()).test_client()
    for file in [*INVALID.glob("*"), *ODD.glob("*.json")]:
        for service in (*SERVICES, "Edda-Marsh", "pt-edda-marsh"):
            http.post(f"/cds-services/{service}", data=file.read_bytes())
    request = bundled(IN_ORDER)
    for index, kind in enumerate(("Marsh", "Patient/pt-edda-marsh", "Observation", 7)):
        request["prefetch"][f"pt-edda-marsh-{index}"] = {
            "resourceType": kind,
            "id": "x",
            "subject": {"reference": "Patient/e"},
        }
    request["fhirServer"] = "https://ehr.example/pt-edda-marsh"
    request["fhirAuthorization"] = AUTHORIZATION
    http.post(f"/cds-services/{ORDER_SIGN}", json=request)
    told = scraped(http)
    assert "Marsh" not in told.text
    assert "marsh" not in told.text
    assert "pt-" not in told.text
    assert told.labels("unread_resources_total", "kind") <= {
        "Observation",
        "MedicationRequest",
        "Condition",
        "Patient",
        "other",
    }
    assert told.labels(CALLS, "service") == {*SERVICES, "other"}


def test_every_counter_and_every_metric_is_exposed() -> None:
    names = {family.name for family in scraped(create_app(Settings()).test_client()).families}
    assert {f"{NAMESPACE}_{what.metric}" for what in Counted} <= names
    assert all(name.startswith(NAMESPACE) for name in names)
