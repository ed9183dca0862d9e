"""The builder of requests from clinical cases: valid FHIR, and every key of the case format where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.support.case import Case
from tests.support.request_builder import build_request

Json = dict[str, Any]

_PLAIN: Json = {
    "id": "plain",
    "title": "A new start",
    "rule": "dosing.start-dose",
    "now": "2024-09-04T09:00:00",
    "patient": {"birth_date": "1966-02-01", "sex": "male"},
    "drafts": [{"dose_mg": "10", "schedule_days": "28", "days_supply": "28", "refills": "0"}],
    "expect": {"action": "proceed", "level": "10/28"},
}
_RICH: Json = {
    **_PLAIN,
    "patient": {"birth_date": "1966-02-01", "sex": "female", "race": "asian"},
    "conditions": [
        {"code": "multiple-myeloma", "onset": "2023-06", "recorded": "2023-07-01"},
        {"code": "stevens-johnson-syndrome", "grade": "4", "severity": "severe", "status": "resolved"},
    ],
    "procedures": [{"code": "autologous-hsct", "date": "2024-01-20"}, {"code": "dialysis"}],
    "medications": [
        {"code": "aspirin", "dose": "81 mg once daily"},
        {"code": "dexamethasone", "dose": "20 mg weekly", "drafted": "true"},
    ],
    "allergies": [{"code": "thalidomide", "criticality": "high", "manifestations": ["angioedema"]}],
    "adverse_events": [
        {"code": "angioedema", "grade": "3", "onset": "2024-08-01", "attributed": "true"},
        {"code": "dress", "status": "resolved", "resolved": "2024-08-20"},
    ],
    "responses": [{"code": "partial-response", "date": "2024-08-01"}],
    "labs": {
        "anc": [{"value": "0.49", "unit": "K/uL", "comparator": "<", "at": "2024-08-28T07:30:00+02:00"}],
        "platelets": [{"value": "180", "unit": "10*9/L", "component_of": "cbc-panel"}],
        "wbc": [{"value": "3.1", "unit": "10*9/L", "component_of": "cbc-panel"}],
        "creatinine": [{"value": "1.0", "unit": None, "days_ago": "7"}],
        "alt": [{"value": "22", "unit": "U/L", "uln": "40", "status": "preliminary"}],
        "hcg": [{"result": "negative", "date": "2024-08-27"}],
        "body-weight": [{"value": "80", "unit": "kg"}],
    },
    "history": [
        {"dose_mg": "10", "start": "2024-05-15", "orders": "2"},
        {"dose_mg": "5", "schedule_days": "21", "start": "2024-07-10", "status": "stopped", "hold_date": "2024-07-20"},
        {"dose_mg": "15", "schedule_days": "qod", "start": "2024-08-07"},
    ],
}


def _request(**changes: Any) -> Json:
    return build_request(Case.model_validate({**_PLAIN, **changes}))


def _draft(**changes: Any) -> Json:
    entries = _request(drafts=[{**_PLAIN["drafts"][0], **changes}])["context"]["draftOrders"]["entry"]
    order: Json = entries[0]["resource"]
    return order


def _found(request: Json, key: str) -> dict[str, Json]:
    return {entry["resource"]["id"]: entry["resource"] for entry in request["prefetch"][key]["entry"]}


def _resources(request: Json) -> Iterator[Json]:
    for value in (*request["prefetch"].values(), request["context"]["draftOrders"]):
        yield value
        yield from (entry["resource"] for entry in value.get("entry", []))


def test_every_resource_of_a_rich_case_is_valid_fhir() -> None:
    request = build_request(Case.model_validate(_RICH))

    for resource in _resources(request):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_the_same_case_gives_the_same_request() -> None:
    case = Case.model_validate(_RICH)

    assert build_request(case) == build_request(case)


def test_past_orders_run_on_from_each_other_and_end_where_they_were_stopped() -> None:
    orders = _found(build_request(Case.model_validate(_RICH)), "medications")

    bounds = {
        name: order["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]
        for name, order in orders.items()
        if name.startswith("lenalidomide")
    }
    assert bounds == {
        "lenalidomide-1": {"start": "2024-05-15"},
        "lenalidomide-2": {"start": "2024-06-12"},
        "lenalidomide-3": {"start": "2024-07-10", "end": "2024-07-20"},
        "lenalidomide-4": {"start": "2024-08-07"},
    }
    assert orders["lenalidomide-3"]["status"] == "stopped"


def test_a_21_day_order_is_bounded_but_supplies_the_cycle() -> None:
    order = _draft(schedule_days="21")

    bounds = order["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]
    assert bounds == {"start": "2024-09-04", "end": "2024-09-24"}
    assert order["dispenseRequest"]["expectedSupplyDuration"]["value"] == 28


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"frequency": 1, "period": 1}),
        ({"schedule_days": "qod"}, {"frequency": 1, "period": 2}),
        ({"doses_per_day": "2"}, {"frequency": 2, "period": 1}),
    ],
)
def test_frequency_and_period_follow_the_schedule(changes: Json, expected: Json) -> None:
    repeat = _draft(**changes)["dosageInstruction"][0]["timing"]["repeat"]

    assert {key: repeat[key] for key in expected} == expected


def test_what_a_draft_does_not_state_is_not_sent() -> None:
    assert "dispenseRequest" not in _draft(days_supply=None, refills=None)
    assert "doseAndRate" not in _draft(dose_mg=None)["dosageInstruction"][0]
    assert _draft(text_only="as directed")["dosageInstruction"] == [{"text": "as directed"}]


def test_quantity_validity_and_instructions_stand_where_fhir_has_them() -> None:
    order = _draft(quantity="21", validity_end="2024-09-11", instructions="after dialysis")

    assert order["dispenseRequest"]["quantity"] == {"value": 21, "unit": "capsule"}
    assert order["dispenseRequest"]["validityPeriod"] == {"start": "2024-09-04", "end": "2024-09-11"}
    assert order["dosageInstruction"][0]["patientInstruction"] == "after dialysis"


def test_the_coded_product_is_the_capsule_of_the_dose_or_else_the_ingredient() -> None:
    def code(**changes: Any) -> str:
        return str(_draft(**changes)["medicationCodeableConcept"]["coding"][0]["code"])

    assert code() == "602910"
    assert code(strength_mg="5") == "602912"
    assert code(dose_mg="7.5") == "342369"
    assert code(lines=[{"dose_mg": "10"}, {"dose_mg": "5"}]) == "342369"


def test_dosage_lines_take_from_the_draft_what_they_do_not_say() -> None:
    lines = _draft(schedule_days="21", lines=[{"dose_mg": "10"}, {"dose_mg": "5", "schedule_days": "28"}])

    first, second = (line["timing"]["repeat"]["boundsPeriod"] for line in lines["dosageInstruction"])
    assert "end" in first
    assert "end" not in second


def test_order_select_selects_the_drafts() -> None:
    request = _request(hook="order-select", drafts=_PLAIN["drafts"] * 2)

    assert request["context"]["selections"] == ["MedicationRequest/draft-1", "MedicationRequest/draft-2"]


def test_drafted_drugs_are_signed_with_the_draft_and_are_no_history() -> None:
    request = build_request(Case.model_validate(_RICH))

    drafted = [entry["resource"]["id"] for entry in request["context"]["draftOrders"]["entry"]]
    assert drafted == ["draft-1", "draft-dexamethasone-1"]
    assert "dexamethasone-1" not in _found(request, "medications")


def test_units_are_coded_only_where_ucum_means_the_same() -> None:
    observations = _found(build_request(Case.model_validate(_RICH)), "observations")

    assert observations["anc-1"]["valueQuantity"] == {"value": Decimal("0.49"), "unit": "K/uL", "comparator": "<"}
    assert observations["body-weight-1"]["valueQuantity"]["code"] == "kg"
    assert "unit" not in observations["creatinine-1"]["valueQuantity"]


def test_readings_of_a_panel_are_its_components() -> None:
    observations = _found(build_request(Case.model_validate(_RICH)), "observations")

    assert len(observations["cbc-panel-1"]["component"]) == 2
    assert "platelets-1" not in observations


def test_data_is_withheld_or_failed_as_the_case_says() -> None:
    prefetch = _request(withheld=["conditions"], failed=["observations"])["prefetch"]

    assert "conditions" not in prefetch
    assert prefetch["observations"]["resourceType"] == "OperationOutcome"
    assert prefetch["procedures"]["total"] == 0
