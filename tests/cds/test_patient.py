"""The record: the patient's sex, age and death."""

from __future__ import annotations

from typing import Any

import pytest

from cds.fhir import Found
from cds.snapshot import Fault
from tests.support.fhir import (
    FHIR,
    HL7,
    PATIENT,
    changed,
    coded,
    judged,
    request,
    snapshot,
)

# --- Patient ---------------------------------------------------------------------------------------------------------


def _patient(**changes: Any) -> dict[str, Any]:
    return changed({"resourceType": "Patient", "id": "patient-1", "gender": "male", "birthDate": "1960-02-01"}, changes)


def _clinical_use(*listed: str) -> list[dict[str, Any]]:
    url = f"{FHIR}/patient-sexParameterForClinicalUse"
    system = f"{HL7}/sex-parameter-for-clinical-use"
    values = [[{"url": "value", "valueCodeableConcept": coded(system, code)}] for code in listed]
    return [{"url": url, "extension": value} for value in values]


@pytest.mark.parametrize(
    ("gender", "sex"),
    [("male", "male"), ("female", "female"), ("other", None), ("unknown", None), ("", None), (None, None), (7, None)],
)
def test_the_administrative_gender_is_the_sex_where_nothing_else_is_known(gender: object, sex: str | None) -> None:
    patient = snapshot(_patient(gender=gender)).patient

    assert patient is not None
    assert patient.sex == sex


@pytest.mark.parametrize(
    ("gender", "code", "sex"),
    [
        ("male", "female-typical", "female"),
        ("female", "male-typical", "male"),
        ("other", "female-typical", "female"),
        ("female", "specified", None),
    ],
)
def test_the_sex_for_clinical_use_goes_before_the_gender(gender: str, code: str, sex: str | None) -> None:
    patient = snapshot(_patient(gender=gender, extension=_clinical_use(code))).patient

    assert patient is not None
    assert patient.sex == sex


def test_two_contradicting_sexes_for_clinical_use_leave_it_unknown() -> None:
    for listed in (("male-typical", "female-typical"), ("female-typical", "male-typical")):
        patient = snapshot(_patient(extension=_clinical_use(*listed))).patient
        assert patient is not None
        assert patient.sex is None


def test_a_birth_sex_is_kept_apart_from_the_sex() -> None:
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
    patient = snapshot(_patient(extension=[{"url": url, "valueCode": "F"}])).patient

    assert patient is not None
    assert (patient.sex, patient.recorded_female) == ("male", "female in another record of sex")


@pytest.mark.parametrize("sex", ["other", "unknown", None])
def test_without_a_sex_the_lower_clearance_is_used(sex: str | None) -> None:
    # (140 - 64) * 80 / 72 = 84.4 as a man, 71.8 as a woman.
    assert judged(request(patient={"birth_date": "1960-02-01", "sex": sex}))["facts"]["crcl_ml_min"] == 71.8


@pytest.mark.parametrize(
    "birth_date", ["1960", "1960-02", "", "foo", "1960-13-01", None, 1960, {"value": "1960-02-01"}]
)
def test_a_partial_or_unreadable_birth_date_leaves_the_age_unknown(birth_date: object) -> None:
    patient = snapshot(_patient(birthDate=birth_date)).patient

    assert patient is not None
    assert patient.birth_date is None


def test_without_a_birth_date_the_clearance_is_unknown() -> None:
    draft = judged(request(patient={"birth_date": "1960", "sex": "male"}))

    assert draft["facts"]["crcl_ml_min"] is None
    assert draft["recommendation"]["action"] == "defer"


@pytest.mark.parametrize(
    ("changes", "deceased"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2024-01-01"}, True),
    ],
)
def test_a_death_is_read(changes: dict[str, Any], deceased: bool) -> None:  # noqa: FBT001
    patient = snapshot(_patient(**changes)).patient

    assert patient is not None
    assert patient.deceased is deceased


def test_a_null_is_no_date_of_death() -> None:
    patient = snapshot({**_patient(), "deceasedDateTime": None}).patient

    assert patient is not None
    assert not patient.deceased


def test_another_patient_is_not_the_patient() -> None:
    read = snapshot(Found({**PATIENT, "id": "patient-2"}))

    assert read.patient is None
    assert [(item.reference, item.fault) for item in read.unread] == [("Patient/patient-2", Fault.FOREIGN)]
