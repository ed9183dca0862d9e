"""What is no request is refused: a fitting status and an OperationOutcome that names the field and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hooks.app import create_app
from hooks.settings import Settings
from tests.support.fixtures import INVALID, Json, client, load, post_text

ORDER_SIGN, ORDER_SELECT = "lenalidomide-order-sign", "lenalidomide-order-select"
NOW, PROTOCOL = "extension.org.lenalidomide-maintenance.now", "extension.org.lenalidomide-maintenance.protocol"

# Fault: the status, the field named, and what is said to be expected.
REFUSALS = {
    "not-json": (400, None, "not JSON"),
    "truncated": (400, None, "not JSON"),
    "trailing-comma": (400, None, "not JSON"),
    "empty-body": (400, None, "not JSON"),
    "not-utf-8": (400, None, "not JSON"),
    "body-is-null": (400, "body", "expected a JSON object"),
    "body-is-a-list": (400, "body", "expected a JSON object"),
    "body-is-text": (400, "body", "expected a JSON object"),
    "missing-hook": (400, "hook", "missing, expected a string"),
    "missing-hook-instance": (400, "hookInstance", "missing, expected a string"),
    "missing-context": (400, "context", "missing, expected an object"),
    "missing-user-id": (400, "context.userId", "missing, expected a string"),
    "missing-patient-id": (400, "context.patientId", "missing, expected a string"),
    "missing-draft-orders": (400, "context.draftOrders", "missing, expected an object"),
    "missing-selections": (400, "context.selections", "expected a list of strings"),
    "null-context": (400, "context", "expected an object"),
    "hook-is-a-number": (400, "hook", "expected a non-empty string"),
    "hook-is-blank": (400, "hook", "expected a non-empty string"),
    "hook-instance-is-an-object": (400, "hookInstance", "expected a non-empty string"),
    "context-is-a-list": (400, "context", "expected an object"),
    "patient-id-is-a-number": (400, "context.patientId", "expected a non-empty string"),
    "patient-id-is-empty": (400, "context.patientId", "expected a non-empty string"),
    "user-id-is-a-list": (400, "context.userId", "expected a non-empty string"),
    "draft-orders-is-text": (400, "context.draftOrders", "expected an object"),
    "draft-orders-is-no-bundle": (400, "context.draftOrders", "expected a Bundle"),
    "draft-orders-entry-is-an-object": (400, "context.draftOrders.entry", "expected a list"),
    "selections-is-text": (400, "context.selections", "expected a list of strings"),
    "selections-holds-a-number": (400, "context.selections", "expected a list of strings"),
    "prefetch-is-a-list": (400, "prefetch", "expected an object"),
    "fhir-server-is-a-number": (400, "fhirServer", "expected a non-empty string"),
    "extension-is-text": (400, "extension", "expected an object"),
    "protocol-is-a-number": (400, PROTOCOL, "expected a non-empty string"),
    "now-is-a-number": (400, NOW, "expected a non-empty string"),
    "medication-not-sent": (412, "context.draftOrders", "MedicationRequest/draft-1"),
    "hook-of-another-service": (422, "hook", "expected order-sign"),
    "hook-unknown": (422, "hook", "expected order-sign"),
    "hook-with-half-a-character": (422, "hook", "expected order-sign"),
    "selections-name-no-draft": (422, "context.selections", "MedicationRequest/draft-2"),
    "protocol-unknown": (422, PROTOCOL, "expected one of fda-label"),
    "now-is-no-date": (422, NOW, "not a date and time"),
    "now-is-before-the-calendar": (422, NOW, "not a date and time"),
}
AT_ORDER_SELECT = {
    "missing-selections",
    "selections-is-text",
    "selections-holds-a-number",
    "selections-name-no-draft",
}
FILES = sorted(INVALID.iterdir())


def assert_refused(status: int, text: str, expected: int) -> Json:
    """The refusal's one issue; a refusal never carries cards or the software's inner life."""
    assert status == expected, text
    assert "Traceback" not in text
    assert 'File "' not in text
    outcome: Json = json.loads(text)
    assert outcome["resourceType"] == "OperationOutcome"
    (issue,) = outcome["issue"]
    assert issue["severity"] == "error"
    assert issue["code"]
    found: Json = issue
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_faulty_request_is_refused_with_its_field_and_what_was_expected(file: Path) -> None:
    expected, field, words = REFUSALS[file.stem]
    status, text = post_text(file.read_bytes(), ORDER_SELECT if file.stem in AT_ORDER_SELECT else ORDER_SIGN)
    issue = assert_refused(status, text, expected)
    assert issue.get("expression") == (None if field is None else [field])
    assert words in issue["diagnostics"]


def test_every_fault_has_its_file_and_every_file_its_fault() -> None:
    assert sorted(REFUSALS) == sorted(file.stem for file in FILES)


def test_every_invalid_request_differs_from_a_good_one_only_by_its_fault() -> None:
    request = load(INVALID / "now-is-no-date.json")
    request["extension"]["org.lenalidomide-maintenance.now"] = "2024-05-15T09:00:00+00:00"
    status, text = post_text(json.dumps(request), ORDER_SIGN)
    assert status == 200, text


def test_a_body_of_20_megabytes_is_refused_before_it_is_parsed() -> None:
    status, text = post_text(b"{" * (20 * 1024 * 1024), ORDER_SIGN)
    issue = assert_refused(status, text, 413)
    assert "larger than" in issue["diagnostics"]


def test_the_limit_of_the_body_is_a_setting() -> None:
    small = create_app(Settings(body_limit=100)).test_client()
    response = small.post(f"/cds-services/{ORDER_SIGN}", data=b" " * 101)
    assert_refused(response.status_code, response.get_data(as_text=True), 413)


@pytest.mark.parametrize("levels", [1_000, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_deeply_nested_body_is_refused(opening: str, closing: str, levels: int) -> None:
    body = f'{{"hook": "order-sign", "context": {opening * levels}1{closing * levels}}}'
    issue = assert_refused(*post_text(body, ORDER_SIGN), 400)
    assert "nested too deeply" in issue["diagnostics"]


@pytest.mark.parametrize("place", ['"context": {', '"status": "draft",', '"prefetch": {'])
@pytest.mark.parametrize("levels", [100, 300, 500, 700, 900])
def test_nesting_that_json_still_bears_is_answered_or_refused_but_never_a_fault(place: str, levels: int) -> None:
    request = load(INVALID / "now-is-no-date.json")
    request["extension"]["org.lenalidomide-maintenance.now"] = "2024-05-15T09:00:00+00:00"
    deep = f'"x": {"[" * levels}{"]" * levels}, '
    body = json.dumps(request).replace(place, place + deep, 1)
    status, text = post_text(body, ORDER_SIGN)
    if status != 200:
        assert_refused(status, text, 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_service_takes_only_posts(method: str) -> None:
    response = client().open(f"/cds-services/{ORDER_SIGN}", method=method)
    assert_refused(response.status_code, response.get_data(as_text=True), 405)


def test_discovery_takes_no_post() -> None:
    response = client().post("/cds-services", data="{}")
    assert_refused(response.status_code, response.get_data(as_text=True), 405)


def test_an_unknown_service_is_not_found_and_the_services_are_named() -> None:
    issue = assert_refused(*post_text("{}", "thalidomide-order-sign"), 404)
    assert ORDER_SIGN in issue["diagnostics"]


def test_an_unknown_service_is_not_found_whatever_the_body() -> None:
    assert_refused(*post_text("not json", "thalidomide-order-sign"), 404)


def test_an_unknown_page_is_not_found() -> None:
    response = client().get("/cds-service")
    assert_refused(response.status_code, response.get_data(as_text=True), 404)


def test_a_refusal_is_not_to_be_stored() -> None:
    response = client().post(f"/cds-services/{ORDER_SIGN}", data="{}")
    assert response.headers["Cache-Control"] == "no-store"
