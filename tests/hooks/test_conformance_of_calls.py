"""The CDS Hooks standard (2.0.1, ballot of 3.0), rows 1 to 54 of the project's conformance list: what is called and how."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from fhir.resources.R4B import get_fhir_model_class

from hooks import answer
from tests.support.answers import as_json
from tests.support.fhir import request as baseline_request
from tests.support.fixtures import Json, client, post_text
from tests.support.json_diff import voids

ORDER_SIGN = "lenalidomide-order-sign"
NOW = "org.lenalidomide-maintenance.now"
MAX_KEYS, MAX_TEMPLATE = 12, 1500
# Names of templates that may stand in a query of the portable subset, beside `_sort` and `_count`.
QUERY_PARAMETERS = {"patient", "code", "_sort", "_count"}
SORTABLE_DATES = {
    "Observation": "-date",
    "MedicationRequest": "-authoredon",
    "Condition": "-recorded-date",
    "Procedure": "-date",
    "AllergyIntolerance": "-date",
}


def discovered() -> list[Json]:
    services: list[Json] = json.loads(client().get("/cds-services").get_data(as_text=True))["services"]
    return services


def templates() -> dict[str, str]:
    return {key: template for service in discovered() for key, template in service["prefetch"].items()}


def a_request(**changes: Any) -> Json:
    """A start at 15 mg as plain JSON, with its own now; members changed to None are left out."""
    request = as_json(baseline_request(drafts=[START_AT_15]))
    request["extension"] = {NOW: "2024-05-15T09:00:00+00:00"}
    return {key: value for key, value in {**request, **changes}.items() if value is not None}


START_AT_15 = {"dose_mg": "15", "schedule_days": "28", "days_supply": 28, "refills": 0}


def posted(request: Json, service: str = ORDER_SIGN) -> tuple[int, Json]:
    status, text = post_text(json.dumps(request), service)
    body: Json = json.loads(text)
    return status, body


def summaries(request: Json) -> list[str]:
    status, body = posted(request)
    assert status == 200, body
    return [card["summary"] for card in body["cards"]]


def the_card(request: Json) -> str:
    """All that the only card says."""
    status, body = posted(request)
    assert status == 200, body
    (card,) = body["cards"]
    return f"{card['summary']}\n{card['detail']}"


# --- A. JSON ---


def test_r01_discovery_and_answers_are_json() -> None:
    for response in (client().get("/cds-services"), client().post(f"/cds-services/{ORDER_SIGN}", json=a_request())):
        assert response.mimetype == "application/json"
        assert isinstance(json.loads(response.get_data()), dict)


def test_r04_every_answer_is_strict_json() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for text in (
        client().get("/cds-services").get_data(as_text=True),
        post_text(json.dumps(a_request()), ORDER_SIGN)[1],
    ):
        json.loads(text, parse_constant=refuse)


# --- B. Discovery ---


def test_r03_discovery_holds_nothing_empty() -> None:
    assert list(voids({"services": discovered()})) == []


def test_r07_discovery_stands_at_cds_services() -> None:
    assert client().get("/cds-services").status_code == 200


def test_r07_discovery_is_the_same_bytes_each_time() -> None:
    assert client().get("/cds-services").get_data() == client().get("/cds-services").get_data()


def test_r08_discovery_is_an_object_with_a_list_of_services() -> None:
    document = json.loads(client().get("/cds-services").get_data())
    assert list(document) == ["services"]
    assert isinstance(document["services"], list)


def test_r10_every_service_has_hook_id_and_description() -> None:
    assert {service["id"]: service["hook"] for service in discovered()} == {
        "lenalidomide-order-select": "order-select",
        "lenalidomide-order-sign": "order-sign",
        "lenalidomide-patient-view": "patient-view",
    }
    assert all(isinstance(service["description"], str) and service["description"] for service in discovered())


def test_r11_every_service_has_a_title() -> None:
    assert all(isinstance(service["title"], str) and service["title"] for service in discovered())


def test_r12_prefetch_maps_keys_to_query_templates() -> None:
    for service in discovered():
        assert service["prefetch"]
        assert all(isinstance(template, str) and template for template in service["prefetch"].values())


def test_r12_prefetch_keeps_to_what_ehrs_bear() -> None:
    for service in discovered():
        assert len(service["prefetch"]) <= MAX_KEYS
    assert {key: len(template) for key, template in templates().items() if len(template) > MAX_TEMPLATE} == {}


def test_r12_prefetch_asks_for_every_kind_the_decision_needs() -> None:
    kinds = {template.partition("?")[0].partition("/")[0] for template in templates().values()}
    assert kinds >= {"Patient", "Observation", "MedicationRequest", "Condition", "Procedure", "AllergyIntolerance"}


def test_r13_usage_requirements_are_a_sentence() -> None:
    assert all(isinstance(service["usageRequirements"], str) for service in discovered())


def test_r14_r15_discovery_sends_the_version_implemented_and_no_other_member_that_an_older_one_does_not_know() -> None:
    known = {"hook", "id", "title", "description", "prefetch", "usageRequirements", "version"}
    assert [set(service) - known for service in discovered()] == [set(), set(), set()]
    assert {service["version"] for service in discovered()} == {"2.0.1"}


def test_r16_every_discovered_service_answers_at_its_id() -> None:
    for service in discovered():
        request = a_request(hook=service["hook"])
        if service["hook"] == "order-select":
            request["context"]["selections"] = ["MedicationRequest/draft-1"]
        status, body = posted(request, service["id"])
        assert (status, "cards" in body) == (200, True), service["id"]


def test_r17_no_id_is_listed_twice_and_another_services_hook_is_refused() -> None:
    assert max(Counter(service["id"] for service in discovered()).values()) == 1
    assert posted(a_request(), "lenalidomide-patient-view")[0] == 422


# --- C. Request ---


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/fhir+json"]
)
def test_r19_a_post_with_a_json_body_is_answered(content_type: str) -> None:
    response = client().post(
        f"/cds-services/{ORDER_SIGN}", data=json.dumps(a_request()), headers={"Content-Type": content_type}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["", "/"])
def test_r19_a_trailing_slash_leads_nowhere_else(path: str) -> None:
    assert client().post(f"/cds-services/{ORDER_SIGN}{path}", json=a_request()).status_code == 200


@pytest.mark.parametrize("field", ["hook", "hookInstance", "context"])
def test_r20_r21_r24_a_required_field_that_is_missing_is_named(field: str) -> None:
    status, body = posted(a_request(**{field: None}))
    assert status == 400
    assert body["issue"][0]["expression"] == [field]


def test_r21_any_text_is_taken_for_a_hook_instance() -> None:
    assert summaries(a_request(hookInstance="not-a-uuid")) == summaries(a_request())


def test_r22_the_address_of_the_fhir_server_is_optional() -> None:
    assert summaries(a_request(fhirServer="https://ehr.example/fhir")) == summaries(a_request())


def test_r25_prefetch_is_optional() -> None:
    status, body = posted(a_request(prefetch=None))
    assert status == 200
    assert body["cards"], "an order of ours that could not be judged is never answered with silence"


@pytest.mark.parametrize("where", ["", "context", "prefetch", "extension"])
def test_r26_unknown_members_are_ignored(where: str) -> None:
    request = a_request()
    target = request[where] if where else request
    target["x-unknown-1c9e"] = {"nested": ["value"]}
    assert summaries(request) == summaries(a_request())


# --- D. FHIR access ---

AUTHORIZATION: Json = {
    "access_token": "secret-token-7d1c",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/Observation.read",
    "subject": "lenalidomide-cds",
}


@pytest.mark.parametrize("scope", ["user/Observation.read patient/Patient.read", "user/Observation.rs"])
def test_r27_to_r32_an_authorization_in_either_scope_syntax_changes_nothing_that_prefetch_answers(scope: str) -> None:
    request = a_request(fhirServer="https://ehr.example/fhir", fhirAuthorization={**AUTHORIZATION, "scope": scope})
    assert summaries(request) == summaries(a_request())


def test_r35_the_access_token_is_never_repeated() -> None:
    request = a_request(fhirServer="https://ehr.example/fhir", fhirAuthorization=AUTHORIZATION)
    assert AUTHORIZATION["access_token"] not in post_text(json.dumps(request), ORDER_SIGN)[1]
    request["context"] = {}
    assert AUTHORIZATION["access_token"] not in post_text(json.dumps(request), ORDER_SIGN)[1]


def test_r37_prefetch_alone_is_enough() -> None:
    assert "fhirServer" not in a_request()
    (summary,) = summaries(a_request())
    assert "10 mg once daily" in summary


# --- E. Prefetch ---


def test_r38_to_r42_the_only_token_is_the_patients_id() -> None:
    tokens = {token for template in templates().values() for token in re.findall(r"\{\{(.*?)\}\}", template)}
    assert tokens == {"context.patientId"}
    assert all(template.count("{") == template.count("}") == 2 for template in templates().values())


def test_r41_the_patient_is_a_typed_reference() -> None:
    for key, template in templates().items():
        if key == "patient":
            assert template == "Patient/{{context.patientId}}"
        else:
            assert "patient=Patient/{{context.patientId}}" in template


def test_r43_queries_use_only_parameters_of_the_portable_subset() -> None:
    for template in templates().values():
        kind, _, query = template.partition("?")
        names = [part.partition("=")[0] for part in query.split("&")] if query else []
        assert set(names) <= QUERY_PARAMETERS
        assert len(names) == len(set(names))
        if names:
            assert f"_sort={SORTABLE_DATES[kind]}" in template
            assert re.search(r"_count=[1-9]\d*(&|$)", template)


def test_r43_queries_are_percent_encoded() -> None:
    for template in templates().values():
        filled = template.replace("{{context.patientId}}", "patient-1")
        assert re.fullmatch(r"[A-Za-z0-9\-._~/?&=%]+", filled), template
        assert urlsplit(filled).query == filled.partition("?")[2]
        assert "%25" not in filled


def test_r43_codes_are_tokens_with_their_system() -> None:
    for template in templates().values():
        for code in re.findall(r"code=([^&]*)", template):
            listed = unquote(code).split(",")
            assert all(re.fullmatch(r"http://(loinc\.org\|\d+-\d|snomed\.info/sct\|\d+)", one) for one in listed)
            assert len(listed) == len(set(listed))


@pytest.mark.parametrize("word", ["_include", "_revinclude", "_has", ":", "today", "%priorKey", "date="])
def test_r44_no_query_uses_what_is_not_portable(word: str) -> None:
    assert [template for template in templates().values() if word in unquote(template).replace("http://", "")] == []


def test_r45_a_subset_of_the_keys_under_other_names_is_read() -> None:
    request = a_request()
    request["prefetch"] = {f"site-{key}": value for key, value in request["prefetch"].items()}
    assert summaries(request) == summaries(a_request())


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
def test_r46_looked_for_and_not_found_is_no_data(state: Json | None) -> None:
    request = a_request()
    request["prefetch"]["observations"] = state
    text = the_card(request)
    assert "no ANC and no platelets" in text
    assert not any(other in text for other in ("not supplied", "not retrieved", "only in part"))


def test_r46_a_key_left_out_is_not_read_as_no_data() -> None:
    request = a_request()
    del request["prefetch"]["observations"]
    assert "Laboratory results and vital signs: not supplied" in the_card(request)


@pytest.mark.parametrize("state", [FAILED, FAILED_ENTRY], ids=["as value", "as entry"])
def test_r46_r47_an_operation_outcome_is_a_failure_and_not_no_data(state: Json) -> None:
    request = a_request()
    request["prefetch"]["observations"] = state
    assert "Laboratory results and vital signs: not retrieved" in the_card(request)


def test_r48_a_first_page_is_not_the_whole_answer() -> None:
    request = a_request()
    bundle = request["prefetch"]["observations"]
    bundle["entry"] = [entry for entry in bundle["entry"] if not entry["resource"]["id"].startswith("anc")]
    bundle["link"] = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]
    assert "Laboratory results and vital signs: supplied only in part" in the_card(request)


def test_r49_what_was_not_supplied_is_named_on_the_card() -> None:
    request = a_request()
    del request["prefetch"]["procedures"]
    assert "Procedures: not supplied" in the_card(request)


def test_r50_a_draft_whose_drug_could_not_be_had_is_a_precondition_failed() -> None:
    request = a_request()
    (entry,) = request["context"]["draftOrders"]["entry"]
    del entry["resource"]["medicationCodeableConcept"]
    entry["resource"]["medicationReference"] = {"reference": "Medication/not-sent"}
    status, body = posted(request)
    assert (status, body["resourceType"]) == (412, "OperationOutcome")


@pytest.mark.parametrize(("selected", "status"), [("draft-1", 200), ("draft-2", 412)])
def test_r50_only_a_selected_draft_needs_its_drug(selected: str, status: int) -> None:
    request = a_request(hook="order-select")
    (entry,) = request["context"]["draftOrders"]["entry"]
    entry["resource"]["medicationCodeableConcept"] = {"text": "paracetamol 500 mg"}
    other = {**entry["resource"], "id": "draft-2", "medicationReference": {"reference": "Medication/not-sent"}}
    del other["medicationCodeableConcept"]
    request["context"]["draftOrders"]["entry"].append({"resource": other})
    request["context"]["selections"] = [f"MedicationRequest/{selected}"]
    assert posted(request, "lenalidomide-order-select")[0] == status


# --- F. Response ---


def test_r52_nothing_to_say_is_an_empty_list_of_cards() -> None:
    request = a_request()
    request["context"]["draftOrders"]["entry"] = []
    status, body = posted(request)
    assert (status, body["cards"]) == (200, [])


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"hook": 1}'])
def test_r54_every_refusal_carries_an_operation_outcome(body: str) -> None:
    status, text = post_text(body, ORDER_SIGN)
    assert status == 400
    outcome = json.loads(text)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    assert outcome["issue"][0]["diagnostics"]


def test_without_the_setting_an_answer_carries_no_explanation() -> None:
    request = a_request()
    assert set(answer(request, now=datetime(2024, 5, 15, 9, tzinfo=UTC))) == {"cards"}
