"""The CDS Hooks standard (2.0.1, ballot of 3.0), rows 7 to 15 and 38 to 44 of the project's conformance list: discovery."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, urlsplit

import pytest
from werkzeug.test import Client

from tests.support.fixtures import Json
from tests.support.json_diff import voids

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


def discovered(http: Client) -> list[Json]:
    services: list[Json] = json.loads(http.get("/cds-services").get_data(as_text=True))["services"]
    return services


def templates(http: Client) -> dict[str, str]:
    return {key: template for service in discovered(http) for key, template in service["prefetch"].items()}


# --- B. Discovery ---


def test_r03_discovery_holds_nothing_empty(http: Client) -> None:
    assert list(voids({"services": discovered(http)})) == []


def test_r07_discovery_stands_at_cds_services(http: Client) -> None:
    assert http.get("/cds-services").status_code == 200


def test_r07_discovery_is_the_same_bytes_each_time(http: Client) -> None:
    assert http.get("/cds-services").get_data() == http.get("/cds-services").get_data()


def test_r08_discovery_is_an_object_with_a_list_of_services(http: Client) -> None:
    document = json.loads(http.get("/cds-services").get_data())
    assert list(document) == ["services"]
    assert isinstance(document["services"], list)


def test_r10_every_service_has_hook_id_and_description(http: Client) -> None:
    assert {service["id"]: service["hook"] for service in discovered(http)} == {
        "lenalidomide-order-select": "order-select",
        "lenalidomide-order-sign": "order-sign",
        "lenalidomide-patient-view": "patient-view",
    }
    assert all(isinstance(service["description"], str) and service["description"] for service in discovered(http))


def test_r11_every_service_has_a_title(http: Client) -> None:
    assert all(isinstance(service["title"], str) and service["title"] for service in discovered(http))


def test_r12_prefetch_maps_keys_to_query_templates(http: Client) -> None:
    for service in discovered(http):
        assert service["prefetch"]
        assert all(isinstance(template, str) and template for template in service["prefetch"].values())


def test_r12_prefetch_keeps_to_what_ehrs_bear(http: Client) -> None:
    for service in discovered(http):
        assert len(service["prefetch"]) <= MAX_KEYS
    assert {key: len(template) for key, template in templates(http).items() if len(template) > MAX_TEMPLATE} == {}


def test_r12_prefetch_asks_for_every_kind_the_decision_needs(http: Client) -> None:
    kinds = {template.partition("?")[0].partition("/")[0] for template in templates(http).values()}
    assert kinds >= {"Patient", "Observation", "MedicationRequest", "Condition", "Procedure", "AllergyIntolerance"}


def test_r13_usage_requirements_are_a_sentence(http: Client) -> None:
    assert all(isinstance(service["usageRequirements"], str) for service in discovered(http))


def test_r14_r15_discovery_sends_the_version_implemented_and_no_other_member_that_an_older_one_does_not_know(
    http: Client,
) -> None:
    known = {"hook", "id", "title", "description", "prefetch", "usageRequirements", "version"}
    assert [set(service) - known for service in discovered(http)] == [set(), set(), set()]
    assert {service["version"] for service in discovered(http)} == {"2.0.1"}


# --- E. Prefetch ---


def test_r38_to_r42_the_only_token_is_the_patients_id(http: Client) -> None:
    tokens = {token for template in templates(http).values() for token in re.findall(r"\{\{(.*?)\}\}", template)}
    assert tokens == {"context.patientId"}
    assert all(template.count("{") == template.count("}") == 2 for template in templates(http).values())


def test_r41_the_patient_is_a_typed_reference(http: Client) -> None:
    for key, template in templates(http).items():
        if key == "patient":
            assert template == "Patient/{{context.patientId}}"
        else:
            assert "patient=Patient/{{context.patientId}}" in template


def test_r43_queries_use_only_parameters_of_the_portable_subset(http: Client) -> None:
    for template in templates(http).values():
        kind, _, query = template.partition("?")
        names = [part.partition("=")[0] for part in query.split("&")] if query else []
        assert set(names) <= QUERY_PARAMETERS
        assert len(names) == len(set(names))
        if names:
            assert f"_sort={SORTABLE_DATES[kind]}" in template
            assert re.search(r"_count=[1-9]\d*(&|$)", template)


def test_r43_queries_are_percent_encoded(http: Client) -> None:
    for template in templates(http).values():
        filled = template.replace("{{context.patientId}}", "patient-1")
        assert re.fullmatch(r"[A-Za-z0-9\-._~/?&=%]+", filled), template
        assert urlsplit(filled).query == filled.partition("?")[2]
        assert "%25" not in filled


def test_r43_codes_are_tokens_with_their_system(http: Client) -> None:
    for template in templates(http).values():
        for code in re.findall(r"code=([^&]*)", template):
            listed = unquote(code).split(",")
            assert all(re.fullmatch(r"http://(loinc\.org\|\d+-\d|snomed\.info/sct\|\d+)", one) for one in listed)
            assert len(listed) == len(set(listed))


@pytest.mark.parametrize("word", ["_include", "_revinclude", "_has", ":", "today", "%priorKey", "date="])
def test_r44_no_query_uses_what_is_not_portable(http: Client, word: str) -> None:
    assert [template for template in templates(http).values() if word in unquote(template).replace("http://", "")] == []
