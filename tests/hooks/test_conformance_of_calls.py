"""The CDS Hooks standard (2.0.1, ballot of 3.0), rows 1 to 54 of the project's conformance list: what is called and how.

What the discovery document says has a module of its own, ``test_conformance_of_discovery``.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from werkzeug.test import Client

from hooks import answer
from tests.hooks.test_conformance_of_discovery import discovered
from tests.support.answers import as_json
from tests.support.fhir import request as baseline_request
from tests.support.fixtures import Json

ORDER_SIGN = "lenalidomide-order-sign"
NOW = "org.lenalidomide-maintenance.now"


def a_request(**changes: Any) -> Json:
    """A start at 15 mg as plain JSON, with its own now; members changed to None are left out."""
    request = as_json(baseline_request(drafts=[START_AT_15]))
    request["extension"] = {NOW: "2024-05-15T09:00:00+00:00"}
    return {key: value for key, value in {**request, **changes}.items() if value is not None}


START_AT_15 = {"dose_mg": "15", "schedule_days": "28", "days_supply": 28, "refills": 0}


def posted_text(http: Client, body: str, service: str = ORDER_SIGN) -> tuple[int, str]:
    response = http.post(f"/cds-services/{service}", data=body, content_type="application/json")
    return response.status_code, response.get_data(as_text=True)


def posted(http: Client, request: Json, service: str = ORDER_SIGN) -> tuple[int, Json]:
    status, text = posted_text(http, json.dumps(request), service)
    body: Json = json.loads(text)
    return status, body


def summaries(http: Client, request: Json) -> list[str]:
    status, body = posted(http, request)
    assert status == 200, body
    return [card["summary"] for card in body["cards"]]


def the_card(http: Client, request: Json) -> str:
    """All that the only card says."""
    status, body = posted(http, request)
    assert status == 200, body
    (card,) = body["cards"]
    return f"{card['summary']}\n{card['detail']}"


# --- A. JSON ---


def test_r01_discovery_and_answers_are_json(http: Client) -> None:
    for response in (http.get("/cds-services"), http.post(f"/cds-services/{ORDER_SIGN}", json=a_request())):
        assert response.mimetype == "application/json"
        assert isinstance(json.loads(response.get_data()), dict)


def test_r04_every_answer_is_strict_json(http: Client) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for text in (
        http.get("/cds-services").get_data(as_text=True),
        posted_text(http, json.dumps(a_request()))[1],
    ):
        json.loads(text, parse_constant=refuse)


# --- B. Discovery ---


def test_r16_every_discovered_service_answers_at_its_id(http: Client) -> None:
    for service in discovered(http):
        request = a_request(hook=service["hook"])
        if service["hook"] == "order-select":
            request["context"]["selections"] = ["MedicationRequest/draft-1"]
        status, body = posted(http, request, service["id"])
        assert (status, "cards" in body) == (200, True), service["id"]


def test_r17_no_id_is_listed_twice_and_another_services_hook_is_refused(http: Client) -> None:
    assert max(Counter(service["id"] for service in discovered(http)).values()) == 1
    assert posted(http, a_request(), "lenalidomide-patient-view")[0] == 422


# --- C. Request ---


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/fhir+json"]
)
def test_r19_a_post_with_a_json_body_is_answered(http: Client, content_type: str) -> None:
    response = http.post(
        f"/cds-services/{ORDER_SIGN}", data=json.dumps(a_request()), headers={"Content-Type": content_type}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["", "/"])
def test_r19_a_trailing_slash_leads_nowhere_else(http: Client, path: str) -> None:
    assert http.post(f"/cds-services/{ORDER_SIGN}{path}", json=a_request()).status_code == 200


@pytest.mark.parametrize("field", ["hook", "hookInstance", "context"])
def test_r20_r21_r24_a_required_field_that_is_missing_is_named(http: Client, field: str) -> None:
    status, body = posted(http, a_request(**{field: None}))
    assert status == 400
    assert body["issue"][0]["expression"] == [field]


def test_r21_any_text_is_taken_for_a_hook_instance(http: Client) -> None:
    assert summaries(http, a_request(hookInstance="not-a-uuid")) == summaries(http, a_request())


def test_r22_the_address_of_the_fhir_server_is_optional(http: Client) -> None:
    assert summaries(http, a_request(fhirServer="https://ehr.example/fhir")) == summaries(http, a_request())


def test_r25_prefetch_is_optional(http: Client) -> None:
    status, body = posted(http, a_request(prefetch=None))
    assert status == 200
    assert body["cards"], "an order of ours that could not be judged is never answered with silence"


@pytest.mark.parametrize("where", ["", "context", "prefetch", "extension"])
def test_r26_unknown_members_are_ignored(http: Client, where: str) -> None:
    request = a_request()
    target = request[where] if where else request
    target["x-unknown-1c9e"] = {"nested": ["value"]}
    assert summaries(http, request) == summaries(http, a_request())


# --- D. FHIR access ---

AUTHORIZATION: Json = {
    "access_token": "secret-token-7d1c",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/Observation.read",
    "subject": "lenalidomide-cds",
}


@pytest.mark.parametrize("scope", ["user/Observation.read patient/Patient.read", "user/Observation.rs"])
def test_r27_to_r32_an_authorization_in_either_scope_syntax_changes_nothing_that_prefetch_answers(
    http: Client, scope: str
) -> None:
    request = a_request(fhirServer="https://ehr.example/fhir", fhirAuthorization={**AUTHORIZATION, "scope": scope})
    assert summaries(http, request) == summaries(http, a_request())


def test_r35_the_access_token_is_never_repeated(http: Client) -> None:
    request = a_request(fhirServer="https://ehr.example/fhir", fhirAuthorization=AUTHORIZATION)
    assert AUTHORIZATION["access_token"] not in posted_text(http, json.dumps(request))[1]
    request["context"] = {}
    assert AUTHORIZATION["access_token"] not in posted_text(http, json.dumps(request))[1]


def test_r37_prefetch_alone_is_enough(http: Client) -> None:
    assert "fhirServer" not in a_request()
    (summary,) = summaries(http, a_request())
    assert "10 mg once daily" in summary


# --- E. Prefetch ---


def test_r45_a_subset_of_the_keys_under_other_names_is_read(http: Client) -> None:
    request = a_request()
    request["prefetch"] = {f"site-{key}": value for key, value in request["prefetch"].items()}
    assert summaries(http, request) == summaries(http, a_request())


FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
EMPTY: Json = {"resourceType": "Bundle", "type": "searchset", "total": 0}
WARNED = {
    "resourceType": "Bundle",
    "type": "searchset",
    "total": 0,
    "entry": [
        {
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [{"severity": "warning", "code": "not-found", "diagnostics": "no results"}],
            },
            "search": {"mode": "outcome"},
        }
    ],
}
FAILED_ENTRY = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": FAILED}]}


@pytest.mark.parametrize("state", [None, EMPTY, WARNED], ids=["null", "empty Bundle", "Bundle with a warning"])
def test_r46_looked_for_and_not_found_is_no_data(http: Client, state: Json | None) -> None:
    request = a_request()
    request["prefetch"]["observations"] = state
    text = the_card(http, request)
    assert "no ANC and no platelets" in text
    assert not any(other in text for other in ("not supplied", "not retrieved", "only in part"))


def test_r46_a_key_left_out_is_not_read_as_no_data(http: Client) -> None:
    request = a_request()
    del request["prefetch"]["observations"]
    assert "Laboratory results and vital signs: not supplied" in the_card(http, request)


@pytest.mark.parametrize("state", [FAILED, FAILED_ENTRY], ids=["as value", "as entry"])
def test_r46_r47_an_operation_outcome_is_a_failure_and_not_no_data(http: Client, state: Json) -> None:
    request = a_request()
    request["prefetch"]["observations"] = state
    assert "Laboratory results and vital signs: not retrieved" in the_card(http, request)


def test_r48_a_first_page_is_not_the_whole_answer(http: Client) -> None:
    request = a_request()
    bundle = request["prefetch"]["observations"]
    bundle["entry"] = [entry for entry in bundle["entry"] if not entry["resource"]["id"].startswith("anc")]
    bundle["link"] = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]
    assert "Laboratory results and vital signs: supplied only in part" in the_card(http, request)


def test_r49_what_was_not_supplied_is_named_on_the_card(http: Client) -> None:
    request = a_request()
    del request["prefetch"]["procedures"]
    assert "Procedures: not supplied" in the_card(http, request)


def test_r50_a_draft_whose_drug_could_not_be_had_is_a_precondition_failed(http: Client) -> None:
    request = a_request()
    (entry,) = request["context"]["draftOrders"]["entry"]
    del entry["resource"]["medicationCodeableConcept"]
    entry["resource"]["medicationReference"] = {"reference": "Medication/not-sent"}
    status, body = posted(http, request)
    assert (status, body["resourceType"]) == (412, "OperationOutcome")


@pytest.mark.parametrize(("selected", "status"), [("draft-1", 200), ("draft-2", 412)])
def test_r50_only_a_selected_draft_needs_its_drug(http: Client, selected: str, status: int) -> None:
    request = a_request(hook="order-select")
    (entry,) = request["context"]["draftOrders"]["entry"]
    entry["resource"]["medicationCodeableConcept"] = {"text": "paracetamol 500 mg"}
    other = {**entry["resource"], "id": "draft-2", "medicationReference": {"reference": "Medication/not-sent"}}
    del other["medicationCodeableConcept"]
    request["context"]["draftOrders"]["entry"].append({"resource": other})
    request["context"]["selections"] = [f"MedicationRequest/{selected}"]
    assert posted(http, request, "lenalidomide-order-select")[0] == status


# --- F. Response ---


def test_r52_nothing_to_say_is_an_empty_list_of_cards(http: Client) -> None:
    request = a_request()
    request["context"]["draftOrders"]["entry"] = []
    status, body = posted(http, request)
    assert (status, body["cards"]) == (200, [])


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"hook": 1}'])
def test_r54_every_refusal_carries_an_operation_outcome(http: Client, body: str) -> None:
    status, text = posted_text(http, body)
    assert status == 400
    outcome = json.loads(text)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    assert outcome["issue"][0]["diagnostics"]


def test_without_the_setting_an_answer_carries_no_explanation() -> None:
    request = a_request()
    assert set(answer(request, now=datetime(2024, 5, 15, 9, tzinfo=UTC))) == {"cards"}
