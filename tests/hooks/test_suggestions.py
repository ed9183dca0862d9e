"""One-click corrections of an order: only what is wrong changes, and what belongs together changes together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir.resources.R4B.medicationrequest import MedicationRequest

from tests.support.answers import Answered, accept, judge, only_counsels, updates
from tests.support.codes import drug
from tests.support.drafts import CAPSULE, MG, asked, capsule, corrected, draft, line, suggested, supply
from tests.support.fhir import NOW, RXNORM, UCUM
from tests.support.fixtures import EVALUATION, Json, post_text
from tests.support.json_diff import changes

CODING = "medicationCodeableConcept.coding[0]"
PRODUCT = {f"{CODING}.code", f"{CODING}.display", "medicationCodeableConcept.text"}
DOSE = "dosageInstruction[0].doseAndRate[0].doseQuantity.value"
DOSE_TEXT = "dosageInstruction[0].text"
QUANTITY, SUPPLY = "dispenseRequest.quantity.value", "dispenseRequest.expectedSupplyDuration.value"
BOUND_END = "dosageInstruction[0].timing.repeat.boundsPeriod.end"
TEN_MG, TEN_MG_BRAND, FIFTEEN_MG_BRAND = "602910", "616114", "643714"


def differences(one: Json, **case: Any) -> dict[str, Any]:
    """New values by path in the correction of a draft."""
    return {path: new for path, (_, new) in changes(one, corrected(asked(one, **case))).items()}


def fired(answer: Json) -> set[str]:
    return {finding["id"] for judged in answer["extension"][EVALUATION]["drafts"] for finding in judged["findings"]}


# --- What is echoed ---


def test_a_lower_dose_changes_product_dose_and_text_and_nothing_else() -> None:
    assert differences(draft()).keys() == {*PRODUCT, DOSE, DOSE_TEXT}


def test_members_that_are_not_known_survive_wherever_they_stand() -> None:
    foreign: Json = {"x-vendor": {"kept": [1, "two", {"three": 3}]}}
    one = draft(
        line(15, route={"text": "oral"}, method={"text": "swallow whole"}, **foreign),
        dispenseRequest={**supply(28, 28), "performer": {"reference": "Organization/pharmacy"}, **foreign},
        note=[{"text": "Seen with the daughter"}],
        category=[{"text": "outpatient"}],
        extension=[{"url": "https://ehr.example/cost-centre", "valueString": "A 7"}],
        **foreign,
    )
    assert differences(one).keys() == {*PRODUCT, DOSE, DOSE_TEXT}


def test_what_kind_of_dose_it_is_survives() -> None:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/dose-rate-type", "code": "ordered"}]}
    one = draft(line(15, doseAndRate=[{"type": kind, "doseQuantity": {"value": 15, **MG}}]))
    assert differences(one).keys() == {*PRODUCT, DOSE, DOSE_TEXT}


def test_an_object_where_fhir_wants_a_list_is_echoed_as_an_object() -> None:
    assert differences(draft(category={"text": "outpatient"})).keys() == {*PRODUCT, DOSE, DOSE_TEXT}


def test_the_digits_of_a_number_are_echoed_as_they_were_written() -> None:
    body = json.dumps(asked(draft(extension=[{"url": "https://ehr.example/cost", "valueDecimal": 7}])))
    body = body.replace('"valueDecimal": 7', '"valueDecimal": 7.250')
    assert '"valueDecimal":7.250' in post_text(body, "lenalidomide-order-sign")[1]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_draft_with_a_number_that_is_none_gets_its_card_but_no_correction(number: str) -> None:
    body = json.dumps(asked(draft(extension=[{"url": "https://ehr.example/cost", "valueDecimal": 7}])))
    body = body.replace('"valueDecimal": 7', f'"valueDecimal": {number}')
    status, text = post_text(body, "lenalidomide-order-sign")
    answer = json.loads(text)
    assert status == 200
    assert len(answer["cards"]) == 1
    assert updates(answer) == []


def test_no_instruction_to_the_patient_still_names_the_old_dose() -> None:
    one = draft(line(15, patientInstruction="Take one 15 mg capsule in the evening."))
    assert "15 mg" not in json.dumps(corrected(asked(one))["dosageInstruction"])


def test_an_instruction_to_the_patient_that_names_no_dose_survives() -> None:
    one = draft(line(15, patientInstruction="Swallow whole, with water."))
    assert differences(one).keys() == {*PRODUCT, DOSE, DOSE_TEXT}


def test_a_narrative_that_describes_the_old_order_is_left_out() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">lenalidomide 15 mg once daily</div>'
    assert "text" not in corrected(asked(draft(text={"status": "generated", "div": div})))


# --- Capsule, dose, quantity and days' supply together ---


def test_a_dose_change_by_product_changes_capsule_dose_quantity_and_supply_together() -> None:
    one = draft(line(3, CAPSULE), strength="5", dispenseRequest=supply(30, 90))
    new = differences(one)
    assert new[f"{CODING}.code"] == TEN_MG
    assert new["medicationCodeableConcept.text"] == "lenalidomide 10 MG Oral Capsule"
    assert (new[DOSE], new[QUANTITY], new[SUPPLY]) == (1, 28, 28)


def test_a_dose_in_milligrams_stays_in_milligrams() -> None:
    quantity = corrected(asked(draft()))["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
    assert quantity == {"value": 10, **MG}


@pytest.mark.parametrize(
    "unit",
    [CAPSULE, {"unit": "{capsule}"}, {"system": UCUM, "code": "{pill}"}, {}],
    ids=["capsule", "{capsule}", "{pill}", "none"],
)
def test_a_dose_in_capsules_stays_in_capsules_of_the_new_strength(unit: Json) -> None:
    new = corrected(asked(draft(line(1, unit))))
    assert new["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"] == {"value": 1, **unit}
    assert new["medicationCodeableConcept"]["coding"][0]["code"] == TEN_MG


def test_the_dose_in_words_says_the_new_dose() -> None:
    text = differences(draft())[DOSE_TEXT]
    assert "10 mg" in text
    assert "15" not in text


def test_a_quantity_in_milligrams_stays_in_milligrams() -> None:
    one = draft(dispenseRequest={**supply(28), "quantity": {"value": 420, **MG}})
    assert corrected(asked(one))["dispenseRequest"]["quantity"] == {"value": 280, **MG}


def test_an_order_of_the_ingredient_alone_changes_only_its_dose() -> None:
    assert differences(draft(strength=None)).keys() == {DOSE, DOSE_TEXT}


def test_an_order_without_quantity_and_supply_is_completed_when_its_capsule_changes() -> None:
    one = draft()
    del one["dispenseRequest"]
    dispense = corrected(asked(one))["dispenseRequest"]
    assert dispense["expectedSupplyDuration"]["value"] == 28
    assert dispense["quantity"]["value"] == 28


def test_a_branded_draft_stays_branded() -> None:
    brand = {"system": RXNORM, "code": FIFTEEN_MG_BRAND, "display": "lenalidomide 15 MG Oral Capsule [Revlimid]"}
    new = corrected(asked(draft(medicationCodeableConcept={"coding": [brand], "text": "Revlimid 15 mg"})))
    assert new["medicationCodeableConcept"]["coding"][0]["code"] == TEN_MG_BRAND
    assert "Revlimid" in new["medicationCodeableConcept"]["text"]


def test_a_second_coding_of_the_old_capsule_does_not_remain() -> None:
    ndc = {"system": "http://hl7.org/fhir/sid/ndc", "code": "59572-415-21"}
    concept = {"coding": [*capsule("15")["coding"], ndc], "text": "lenalidomide 15 mg"}
    new = corrected(asked(draft(medicationCodeableConcept=concept)))
    assert [coding["code"] for coding in new["medicationCodeableConcept"]["coding"]] == [TEN_MG]


# --- Drugs by reference ---


def referring(**changes: Any) -> Json:
    one = draft(medicationReference={"reference": "#drug"}, **changes)
    del one["medicationCodeableConcept"]
    return one


MEDICATION = {"resourceType": "Medication", "id": "drug", "code": capsule("15")}


def test_a_contained_medication_gives_way_to_the_new_capsule() -> None:
    new = corrected(asked(referring(contained=[MEDICATION])))
    assert new["medicationCodeableConcept"]["coding"][0]["code"] == TEN_MG
    assert new.keys().isdisjoint({"medicationReference", "contained"})


def test_other_contained_resources_remain() -> None:
    practitioner = {"resourceType": "Practitioner", "id": "prescriber"}
    new = corrected(asked(referring(contained=[practitioner, MEDICATION], requester={"reference": "#prescriber"})))
    assert new["contained"] == [practitioner]


def test_a_medication_beside_the_draft_is_left_alone_and_the_order_names_the_new_capsule() -> None:
    one = {**referring(), "medicationReference": {"reference": "Medication/drug"}}
    suggestion = suggested(asked(one, MEDICATION))
    (action,) = suggestion["actions"]
    assert action["resource"]["medicationCodeableConcept"]["coding"][0]["code"] == TEN_MG
    assert "medicationReference" not in action["resource"]


# --- Schedules ---


def test_a_protocol_of_21_days_bounds_the_dose_and_counts_21_capsules() -> None:
    one = draft(line(10), strength="10")
    new = changes(one, corrected(asked(one), "mskcc"))
    assert {path: value for path, (_, value) in new.items() if path != DOSE_TEXT} == {
        BOUND_END: "2024-06-04",
        QUANTITY: 21,
    }
    assert "days 1–21" in new[DOSE_TEXT][1]


def test_a_dose_reduction_within_21_days_keeps_the_days() -> None:
    one = draft(line(15, last_day="2024-06-04"), dispenseRequest=supply(28, 21))
    new = changes(one, corrected(asked(one), "mskcc"))
    assert new.keys() == {*PRODUCT, DOSE, DOSE_TEXT}
    assert "days 1–21" in new[DOSE_TEXT][1]


def test_21_days_become_28_where_the_protocol_says_so() -> None:
    one = draft(line(15, last_day="2024-06-04"), dispenseRequest=supply(28, 21))
    new = differences(one)
    assert BOUND_END in new
    assert new[BOUND_END] is None
    assert new[QUANTITY] == 28
    assert "days 1–28" in new[DOSE_TEXT]


def test_a_split_dose_becomes_once_daily() -> None:
    twice = {"repeat": {"boundsPeriod": {"start": "2024-05-15"}, "frequency": 2, "period": 1, "periodUnit": "d"}}
    one = draft(line(5, timing=twice, text="5 mg twice daily"), strength="5", dispenseRequest=supply(28, 56))
    new = corrected(asked(one))
    assert new["dosageInstruction"][0]["timing"]["repeat"]["frequency"] == 1
    assert "once daily" in new["dosageInstruction"][0]["text"]
    assert (new["medicationCodeableConcept"]["coding"][0]["code"], new["dispenseRequest"]["quantity"]["value"]) == (
        TEN_MG,
        28,
    )


# --- Several drafts of one regimen ---


def several() -> Json:
    return asked(
        draft(line(10), strength="10", number=1),
        draft(line(5), strength="5", number=2),
        draft(line(2.5), strength="2.5", number=3),
    )


def test_of_several_drafts_one_is_corrected_and_the_rest_are_removed() -> None:
    update, *removals = suggested(several())["actions"]
    assert update["resource"]["id"] == "draft-1"
    assert [(one["type"], one["resourceId"]) for one in removals] == [
        ("delete", "MedicationRequest/draft-2"),
        ("delete", "MedicationRequest/draft-3"),
    ]


def test_of_several_drafts_the_one_that_remains_is_the_whole_regimen() -> None:
    answer = judge(accept(several(), suggested(several())), NOW)
    (judged,) = answer["extension"][EVALUATION]["drafts"]
    assert judged["recommendation"]["level"] == {"dose_mg": 10, "schedule_days": 28}
    assert only_counsels(answer)


def test_a_draft_of_another_drug_is_neither_corrected_nor_removed() -> None:
    other = {**draft(number=9), "medicationCodeableConcept": drug("aspirin")}
    (action,) = suggested(asked(draft(), other))["actions"]
    assert action["resource"]["id"] == "draft-1"


def test_a_correction_of_the_supply_reaches_the_draft_that_needs_it() -> None:
    hook_request = asked(
        draft(line(5), strength="5", number=1),
        draft(line(5), strength="5", number=2, dispenseRequest=supply(28, 28, refills=2)),
    )
    offered = suggested(hook_request)
    assert "supply.refills" not in fired(judge(accept(hook_request, offered), NOW))


def test_a_correction_of_the_supply_does_not_remove_a_draft() -> None:
    hook_request = asked(
        draft(line(5), strength="5", number=1, dispenseRequest=supply(28, 28, refills=2)),
        draft(line(5), strength="5", number=2, dispenseRequest=supply(28, 28, refills=2)),
    )
    assert {action["type"] for action in suggested(hook_request)["actions"]} == {"update"}


# --- Supply ---


def ten(**dispense: Any) -> Json:
    return draft(line(10), strength="10", dispenseRequest=supply(**dispense))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (ten(days=30), {SUPPLY: 28}),
        (ten(days=30, quantity=30), {SUPPLY: 28, QUANTITY: 28}),
        (ten(days=28, quantity=30), {QUANTITY: 28}),
        (ten(refills=3), {"dispenseRequest.numberOfRepeatsAllowed": 0}),
        (
            ten(days=30, quantity=30, refills=1),
            {SUPPLY: 28, QUANTITY: 28, "dispenseRequest.numberOfRepeatsAllowed": 0},
        ),
        (
            ten(validityPeriod={"start": "2024-05-15", "end": "2024-08-15"}),
            {"dispenseRequest.validityPeriod.end": "2024-06-14"},
        ),
    ],
    ids=["days' supply", "days' supply and quantity", "quantity", "refills", "all", "validity"],
)
def test_a_correction_of_the_supply_changes_nothing_else(one: Json, expected: Json) -> None:
    assert differences(one) == expected


def test_a_supply_of_a_21_day_schedule_counts_dosing_days() -> None:
    one = draft(line(10, last_day="2024-06-04"), strength="10", dispenseRequest=supply(30, 30))
    assert differences(one)[QUANTITY] == 21


# --- 7.5 mg, a capsule of the EU only ---

LOW_CLEARANCE = {
    "patient": {"birth_date": "1956-05-15", "sex": "male"},
    "labs": {
        "anc": [{"value": "2.4", "unit": "10*9/L"}],
        "platelets": [{"value": "180", "unit": "10*9/L"}],
        "creatinine": [{"value": "3.0", "unit": "mg/dL"}],
        "body-weight": [{"value": "75", "unit": "kg"}],
    },
}


def test_where_no_capsule_of_the_target_exists_the_next_lower_one_is_offered_and_named_so() -> None:
    suggestion = suggested(asked(draft(line(10), strength="10"), **LOW_CLEARANCE), "ema-smpc")
    new = suggestion["actions"][0]["resource"]
    assert "no 7.5 mg capsule" in suggestion["label"]
    assert new["medicationCodeableConcept"]["text"] == "lenalidomide 5 MG Oral Capsule"
    assert new["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 5


def test_an_order_by_dose_alone_is_changed_to_7_5_mg() -> None:
    new = corrected(asked(draft(line(10), strength=None), **LOW_CLEARANCE), "ema-smpc")
    assert new["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"] == {"value": 7.5, **MG}


# --- No correction where none can be meant ---


def test_a_drug_known_by_its_text_only_gets_no_correction() -> None:
    assert updates(judge(asked(draft(medicationCodeableConcept={"text": "lenalidomide 15 mg capsule"})), NOW)) == []


def test_an_order_without_a_dose_gets_no_correction() -> None:
    one = draft()
    del one["dosageInstruction"]
    assert updates(judge(asked(one), NOW)) == []


# --- Validity ---


def test_every_corrected_order_of_the_clinical_cases_is_valid_fhir(answers: list[Answered]) -> None:
    resources = [
        action["resource"]
        for answered in answers
        if "/" in answered.name
        for action in answered.actions
        if action["type"] == "update"
    ]
    assert resources
    for resource in resources:
        MedicationRequest.model_validate(resource)
