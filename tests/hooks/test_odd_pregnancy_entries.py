"""What odd entries about a pregnancy do to the renewal of a woman of 34 whose last test, three days ago, was negative."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fhir import LOINC, SNOMED, SUBJECT, coded, observation
from tests.support.fixtures import action as action_and_level
from tests.support.women import Json, judged, request_of

HL7 = "http://terminology.hl7.org/CodeSystem"
ICD_10, ICD_10_CM = "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm"
TEST = {"result": "negative", "days_ago": "3"}
PREGNANT, POSSIBLE = "77386006", "146799005"
OTHER = {"reference": "Patient/other"}
YESTERDAY, TODAY = "2024-09-03", "2024-09-04"


def renewal_with(*resources: Json, **changes: Any) -> Json:
    request = request_of("renewal-7-days", tests=[TEST], **changes)
    request["prefetch"]["odd"] = {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}
    return judged(request)


def action(answered: Json) -> str:
    return action_and_level(answered).partition(" ")[0]


def condition(concept: Json, **changes: Any) -> Json:
    read = {"resourceType": "Condition", "id": "odd", "subject": SUBJECT, "code": concept, **changes}
    return {key: value for key, value in read.items() if value is not None}


def snomed(*found: str, **more: Any) -> Json:
    return {"coding": [{"system": SNOMED, "code": code} for code in found], **more}


def said(code: str, **value: Any) -> Json:
    return {**observation(code, effectiveDateTime=TODAY), **value}


def status(on: str = TODAY, **value: Any) -> Json:
    return {**observation("82810-3", effectiveDateTime=on), "id": f"status-{on}", **value}


def delivery(on: str, told: str) -> Json:
    return {**observation("11778-8", effectiveDateTime=told), "id": f"delivery-{on}", "valueDateTime": on}


# --- A pregnancy is never read as normal ---


@pytest.mark.parametrize("order", [(POSSIBLE, PREGNANT), (PREGNANT, POSSIBLE)])
def test_of_two_codes_the_graver_one_counts(order: tuple[str, str]) -> None:
    assert action(renewal_with(condition(snomed(*order), recordedDate="2024-08-30"))) == "discontinue"


@pytest.mark.parametrize(
    "entry",
    [
        status(valueCodeableConcept=snomed("60001007", PREGNANT)),
        status(valueCodeableConcept=snomed(PREGNANT, "60001007")),
        status(valueCodeableConcept={**coded(LOINC, "LA26683-5"), "text": "Pregnant"}),
        said("2106-3", valueCodeableConcept=snomed("260385009", PREGNANT)),
        said("2106-3", valueCodeableConcept=snomed("260385009", text="Pregnant")),
        said(
            "2106-3",
            valueCodeableConcept=snomed("260385009"),
            interpretation=[coded(f"{HL7}/v3-ObservationInterpretation", code) for code in ("NEG", "POS")],
        ),
        said(
            "19080-1",
            valueQuantity={"value": 3, "unit": "mIU/mL"},
            interpretation=[coded(f"{HL7}/v3-ObservationInterpretation", code) for code in ("NEG", "POS")],
        ),
    ],
)
def test_answers_that_contradict_each_other_hold(entry: Json) -> None:
    assert action(renewal_with(entry)) == "hold"


@pytest.mark.parametrize("ended", ["2024-09", "2024"])
def test_a_pregnancy_is_not_over_before_the_last_day_of_the_month_or_year(ended: str) -> None:
    entry = condition(snomed(PREGNANT), onsetDateTime="2024-06-01", abatementDateTime=ended)
    assert action(renewal_with(entry)) == "discontinue"


def test_a_suspicion_does_not_take_back_a_pregnancy() -> None:
    entries = [
        status("2024-08-01", valueCodeableConcept=snomed(PREGNANT)),
        status("2024-08-20", valueCodeableConcept=snomed(POSSIBLE)),
    ]
    assert action(renewal_with(*entries)) == "discontinue"


@pytest.mark.parametrize("told", ["2024-08-20", "2024-08-25"])
def test_a_delivery_of_the_past_does_not_hide_one_to_come(told: str) -> None:
    entries = [delivery("2025-02-01", "2024-08-20"), delivery("2024-01-01", told)]
    assert action(renewal_with(*entries)) == "discontinue"


@pytest.mark.parametrize(
    "words",
    ["High risk of pregnancy complications", "Ectopic pregnancy ruled out", "No pregnancy complications, 20 weeks",
     "Primigravida", "Pregnancy test positive", "Has become pregnant"],
)  # fmt: skip
def test_words_of_other_things_do_not_hide_a_pregnancy(words: str) -> None:
    assert action(renewal_with(condition({"text": words}, recordedDate=YESTERDAY))) == "hold"


def test_a_visit_for_a_positive_test_counts_under_either_edition() -> None:
    for system in (ICD_10, ICD_10_CM):
        assert action(renewal_with(condition(coded(system, "Z32.01"), recordedDate=YESTERDAY))) == "discontinue"


@pytest.mark.parametrize(
    "later",
    [
        {"valueString": "last week"},
        {"dataAbsentReason": coded(f"{HL7}/data-absent-reason", "unknown")},
    ],
)
def test_an_unread_period_after_menopause_leaves_it_open(later: Json) -> None:
    answer = renewal_with(
        condition(snomed("307429007"), onsetDateTime="2020-05-01"),
        {**observation("8665-2", effectiveDateTime=TODAY), **later},
        patient={"sex": "female", "birth_date": "1969-03-01"},
    )
    assert "Counts as able to become pregnant" in str(answer["cards"])
    assert "periods that could not be read" in str(answer)


# --- Nobody is held for nothing ---


@pytest.mark.parametrize(
    "entry",
    [
        condition({"text": "Pregnancy"}, subject=OTHER),
        condition(snomed(PREGNANT), subject=OTHER, modifierExtension=[{"url": "urn:x", "valueBoolean": True}]),
        {
            **observation("0-0", effectiveDateTime=TODAY),
            "code": {"text": "Pregnancy status"},
            "valueString": "?",
            "subject": OTHER,
        },
        {
            **observation("0-0", effectiveDateTime=TODAY),
            "code": {"text": "HCG urine"},
            "valueString": "?",
            "subject": OTHER,
        },
    ],
)
def test_entries_of_another_patient_do_nothing(entry: Json) -> None:
    answer = renewal_with(entry)
    assert action(answer) == "proceed"
    assert answer["cards"] == []


@pytest.mark.parametrize("code", ["Z87.59", "N96", "Z64.0", "O94", "Z32.02"])
@pytest.mark.parametrize("system", [ICD_10, ICD_10_CM])
def test_an_icd_code_that_is_no_pregnancy_is_none_whatever_its_words(system: str, code: str) -> None:
    concept = coded(system, code, display="Personal history of other complications of pregnancy")
    assert action(renewal_with(condition(concept, recordedDate=YESTERDAY))) == "proceed"


@pytest.mark.parametrize(
    "words",
    ["Not currently pregnant", "Denies pregnancy", "Encounter for pregnancy test, result negative", "Pregnancy test required",
     "Patient advised not to become pregnant", "Contraception to avoid pregnancy", "Planning to become pregnant",
     "H/O: ectopic pregnancy", "History of termination of pregnancy", "Pregnancy prevention programme enrolled"],
)  # fmt: skip
def test_words_that_deny_or_are_of_the_past_do_not_hold(words: str) -> None:
    assert action(renewal_with(condition({"text": words}, recordedDate=YESTERDAY))) == "proceed"


def test_words_without_a_date_are_settled_by_a_test_that_is_still_valid_and_named() -> None:
    answer = renewal_with(condition({"text": "Pregnancy-related anxiety"}))
    assert action(answer) == "proceed"
    assert "looks like" in str(answer["cards"])
    assert action(renewal_with(condition(snomed(POSSIBLE)))) == "hold"


@pytest.mark.parametrize("changes", [{"recordedDate": "2010-01-01"}, {"abatementDateTime": "2015"}])
def test_words_of_a_pregnancy_long_ago_do_not_hold(changes: Json) -> None:
    assert action(renewal_with(condition({"text": "Pregnancy"}, **changes))) == "proceed"


@pytest.mark.parametrize(
    "no",
    [
        {"valueString": "No"},
        {"valueCodeableConcept": snomed("373067005")},
        {"valueCodeableConcept": coded(LOINC, "LA32-8")},
    ],
)
def test_no_is_an_answer_to_a_question(no: Json) -> None:
    asked_locally = {**observation("0-0", effectiveDateTime=TODAY), "code": {"text": "Currently pregnant?"}}
    for entry in (status(), asked_locally, said("63895-7")):
        answer = renewal_with({**{key: value for key, value in entry.items() if not key.startswith("value")}, **no})
        assert action(answer) == "proceed"
        assert answer["cards"] == []


def test_yes_is_an_answer_too_and_neither_is_the_result_of_a_test() -> None:
    assert action(renewal_with(status(valueString="Yes"))) == "discontinue"
    assert action(renewal_with(said("2106-3", valueString="No"))) == "defer"
    assert action(renewal_with(said("2106-3", valueCodeableConcept=snomed("373067005")))) == "defer"


@pytest.mark.parametrize(
    "row",
    [
        {"code": {"text": "Date of last pregnancy test"}, "valueDateTime": "2024-08-01"},
        {"code": {"text": "Pregnancy test required"}, "valueBoolean": True},
        {"code": {"text": "Reason pregnancy test not done"}, "valueString": "postmenopausal"},
        {"code": {"text": "Pregnancy test discussed"}, "valueString": "x"},
    ],
)
def test_a_row_about_a_test_is_no_test(row: Json) -> None:
    assert action(renewal_with({**observation("0-0", effectiveDateTime=TODAY), **row})) == "proceed"


def test_a_local_test_that_may_be_positive_still_holds_the_order_up() -> None:
    entry = {
        **observation("0-0", effectiveDateTime=TODAY),
        "code": {"text": "Urine pregnancy test"},
        "valueBoolean": True,
    }
    assert action(renewal_with(entry)) == "defer"


def test_a_resolved_pregnancy_of_nobody_does_not_hold() -> None:
    resolved = coded(f"{HL7}/condition-clinical", "resolved")
    assert action(renewal_with(condition(snomed(PREGNANT), subject=None, clinicalStatus=resolved))) == "proceed"
    assert action(renewal_with(condition(snomed(PREGNANT), subject=None))) == "hold"


def test_breastfeeding_in_words_is_no_matter_in_a_woman_of_74() -> None:
    entry = condition({"text": "History of breastfeeding"})
    assert renewal_with(entry, patient={"sex": "female", "birth_date": "1950-03-01"})["cards"] == []
