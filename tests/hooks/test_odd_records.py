"""Diagnoses, drugs and assessments as records really hold them: never passed over, and nobody is held for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hooks import answer
from tests.support.fhir import NOW, Json, judged, request, with_resources

HISTORY = [{"dose_mg": "10", "schedule_days": "28", "start": "2024-02-21", "orders": 3}]
RXNORM, SNOMED, HL7 = (
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://snomed.info/sct",
    "http://terminology.hl7.org/CodeSystem",
)
PATIENT = {"reference": "Patient/patient-1"}
DVT = {
    "resourceType": "Condition",
    "id": "dvt",
    "code": {"coding": [{"system": SNOMED, "code": "128053003"}]},
    "clinicalStatus": {"coding": [{"system": f"{HL7}/condition-clinical", "code": "active"}]},
    "subject": PATIENT,
    "onsetDateTime": "2024-05-01",
}


def action(draft: Json) -> str:
    recommended: str = draft["recommendation"]["action"]
    return recommended


def renewal(*resources: Json, **changes: Any) -> Json:
    return judged(with_resources(request(history=HISTORY, **changes), *resources))


def found(draft: Json) -> dict[str, str]:
    return {finding["id"]: finding["outcome"] for finding in draft["findings"]}


def response(said: Json, day: str | None) -> Json:
    resource = {
        "resourceType": "Observation",
        "id": f"response-{day}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "97509-4"}]},
        "subject": PATIENT,
        **said,
    }
    return resource if day is None else {**resource, "effectiveDateTime": day}


def statement(code: str, words: str, **elements: Any) -> Json:
    return {
        "resourceType": "MedicationStatement",
        "id": f"statement-{code}",
        "status": "active",
        "subject": PATIENT,
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": code}]},
        "dosage": [{"text": words}],
        **elements,
    }


def in_r5(statement_of_r4: Json, adherence: str | None) -> Json:
    concept = statement_of_r4["medicationCodeableConcept"]
    kept = {key: value for key, value in statement_of_r4.items() if key != "medicationCodeableConcept"}
    taken = {} if adherence is None else {"adherence": {"code": {"coding": [{"code": adherence}]}}}
    return {**kept, "status": "recorded", "medication": {"concept": concept}, **taken}


@pytest.mark.parametrize("day", ["2024-05-14", None])
def test_a_response_that_cannot_be_read_takes_no_progression_back(day: str | None) -> None:
    progression = response(
        {"valueCodeableConcept": {"coding": [{"system": SNOMED, "code": "271299001"}]}}, "2024-05-10"
    )
    assert action(renewal(progression)) == "discontinue"
    assert action(renewal(progression, response({"valueString": "see scanned report"}, day))) == "discontinue"


@pytest.mark.parametrize(
    "taken",
    [
        statement("1364430", "5 mg twice daily"),
        in_r5(statement("1364430", "5 mg twice daily"), None),
        in_r5(statement("1364430", "5 mg twice daily"), "taking"),
    ],
)
def test_a_drug_that_the_patient_is_said_to_take_counts(taken: Json) -> None:
    assert action(renewal(DVT)) == "hold"
    assert action(renewal(DVT, taken)) == "proceed"


@pytest.mark.parametrize(
    "taken",
    [
        statement("1364430", "5 mg twice daily", status="stopped"),
        statement("1364430", "5 mg twice daily", effectivePeriod={"end": "2024-04-01"}),
        statement("1364430", "5 mg twice daily", subject={"reference": "Patient/another"}),
        in_r5(statement("1364430", "5 mg twice daily"), "not-taking"),
    ],
)
def test_a_drug_that_the_patient_does_not_take_does_not(taken: Json) -> None:
    assert action(renewal(DVT, taken)) == "hold"


@pytest.mark.parametrize("route", ["Subcutaneous", "subcutaneous use", "SC"])
def test_an_injection_under_the_skin_is_prophylaxis(route: str) -> None:
    enoxaparin = statement("67108", "40 mg once daily")
    enoxaparin["dosage"][0]["route"] = {"text": route}
    assert "vte.prophylaxis-missing" in found(renewal(medications=[]))
    assert "vte.prophylaxis-missing" not in found(renewal(enoxaparin, medications=[]))


def test_what_was_handed_over_lasts_as_long_as_its_supply() -> None:
    dispensed = {
        "resourceType": "MedicationDispense",
        "id": "dispense-1",
        "status": "completed",
        "subject": PATIENT,
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "1364430"}]},
        "dosageInstruction": [{"text": "5 mg twice daily"}],
        "whenHandedOver": "2024-05-01",
        "daysSupply": {"value": 30, "unit": "days"},
    }
    assert action(renewal(DVT, dispensed)) == "proceed"
    assert action(renewal(DVT, {**dispensed, "whenHandedOver": "2024-03-01"})) == "hold"


@pytest.mark.parametrize("elements", [{"asNeededBoolean": True}, {"text": "650 mg once for pain"}])
def test_aspirin_that_is_not_taken_regularly_is_no_prophylaxis(elements: Json) -> None:
    aspirin = statement("1191", "650 mg every 6 hours")
    aspirin["dosage"][0].update(elements)
    assert "vte.prophylaxis-missing" in found(renewal(aspirin, medications=[]))


def test_the_newest_of_several_events_is_named_whatever_the_order_of_entries() -> None:
    older = {**DVT, "id": "older", "onsetDateTime": "2024-03-01"}
    for entries in ((DVT, older), (older, DVT)):
        (event,) = [one for one in renewal(*entries)["findings"] if one["id"] == "vte.active-event"]
        assert "1 May" in event["summary"]


def test_a_treated_patient_of_years_ago_is_told_nothing_to_stop() -> None:
    gvhd = {**DVT, "id": "gvhd", "code": {"coding": [{"system": SNOMED, "code": "402355000"}]}}
    ended = [{"dose_mg": "10", "schedule_days": "28", "start": "2021-02-21", "orders": 3}]
    transplant = [{"code": "autologous-hsct", "date": "2020-10-20"}]
    asked = with_resources(request(history=ended, procedures=transplant, hook="patient-view"), gvhd)
    assert found(judged(asked)).keys().isdisjoint({"eligibility.gvhd", "monitoring.hepatotoxicity", "vte.active-event"})


@pytest.mark.parametrize("said", [{"reportedBoolean": True}, {"reported": True}])
def test_what_a_patient_reports_counts_though_it_is_recorded_as_a_plan(said: Json) -> None:
    reported = {
        "resourceType": "MedicationRequest",
        "id": "reported",
        "status": "active",
        "intent": "plan",
        "subject": PATIENT,
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "1191"}]},
        "dosageInstruction": [{"text": "81 mg once daily"}],
    }
    assert "vte.prophylaxis-missing" in found(renewal(reported, medications=[]))
    assert "vte.prophylaxis-missing" not in found(renewal({**reported, **said}, medications=[]))


@pytest.mark.parametrize(
    "words", ["h/o DVT", "DVT prophylaxis", "At risk for venous thromboembolism", "No evidence of DVT"]
)
def test_words_about_a_thrombosis_that_is_none_make_no_card(words: str) -> None:
    entry = {**DVT, "code": {"text": words}}
    assert "vte.active-event" not in found(renewal(entry))
    assert found(renewal({**DVT, "code": {"text": "DVT left leg"}}))["vte.active-event"] == "fired"


def test_a_dispense_of_an_order_that_was_stopped_is_not_taken() -> None:
    apixaban = {
        "subject": PATIENT,
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "1364430"}]},
        "dosageInstruction": [{"text": "5 mg twice daily"}],
    }
    dispensed = {
        **apixaban,
        "resourceType": "MedicationDispense",
        "id": "dispense-1",
        "status": "completed",
        "whenHandedOver": "2024-05-01",
        "daysSupply": {"value": 90, "unit": "days"},
    }
    stopped = {
        **apixaban,
        "resourceType": "MedicationRequest",
        "id": "stopped",
        "status": "stopped",
        "intent": "order",
        "authoredOn": "2024-04-01",
        "statusChanged": "2024-05-10",
    }
    assert action(renewal(DVT, dispensed)) == "proceed"
    assert action(renewal(DVT, dispensed, stopped)) == "hold"


def test_a_relapse_of_a_visit_alone_asks_and_one_with_an_onset_stops() -> None:
    relapse = {
        **DVT,
        "id": "relapse",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C90.02"}]},
    }
    of_a_visit = {key: value for key, value in relapse.items() if key != "onsetDateTime"} | {
        "recordedDate": "2024-05-10"
    }
    assert action(renewal(relapse)) == "discontinue"
    asked = renewal(of_a_visit)
    assert (action(asked), found(asked)["eligibility.progression"]) == ("proceed", "fired")


def test_of_an_order_whose_drug_cannot_be_told_no_aspirin_is_put_on_top() -> None:
    unknown = {
        "resourceType": "MedicationRequest",
        "id": "unknown",
        "status": "active",
        "intent": "order",
        "subject": PATIENT,
        "medicationReference": {"reference": "Medication/not-sent"},
    }

    def offered(*resources: Json) -> bool:
        asked = with_resources(request(history=HISTORY, medications=[]), *resources)
        return "Order aspirin" in str(answer(asked, now=NOW)["cards"])

    assert offered()
    assert not offered(unknown)
