"""Laboratory results: only those of the patient count, and others are reported."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds.fhir import Found
from cds.snapshot import Fault
from tests.support.fhir import (
    OBSERVATION,
    PATIENT,
    explained,
    observation,
    request,
    snapshot,
    with_resources,
)

# --- Whose result ----------------------------------------------------------------------------------------------------

_FULL_URL = "http://ehr.example/fhir/Patient/patient-1"


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/patient-1",
        "Patient/patient-1/_history/3",
        "http://ehr.example/fhir/Patient/patient-1",
        "https://ehr.example/fhir/Patient/patient-1",
        "http://ehr.example/fhir/Patient/patient-1/_history/3",
        "urn:uuid:patient-1",
    ],
)
def test_a_reference_to_the_patient_is_recognised(reference: str) -> None:
    mine = observation("anc", 2, "10*9/L", subject={"reference": reference})

    read = snapshot(Found(PATIENT, _FULL_URL), Found(mine))

    assert len(read.of("anc")) == 1
    assert read.unread == ()


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/patient-2",
        "Patient/patient-10",
        "Patient/PATIENT-1",
        "Group/patient-1",
        "patient-2",
        "http://ehr.example/fhir/Patient/patient-2",
        "http://other.example/fhir/Patient/patient-1",
        "http://ehr.example/other/fhir/Patient/patient-1",
        "urn:uuid:patient-2",
        "#patient-1",
    ],
)
def test_a_result_of_another_patient_is_refused_and_reported(reference: object) -> None:
    theirs = observation("anc", Decimal("0.4"), "10*9/L", subject={"reference": reference})

    read = snapshot(Found(PATIENT, _FULL_URL), Found(theirs))

    assert read.of("anc") == ()
    assert [(item.reference, item.fault) for item in read.unread] == [(OBSERVATION, Fault.FOREIGN)]


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {},
        "Patient/patient-1",
        ["Patient/patient-1"],
        {"display": "A. Patient"},
        {"reference": ""},
        {"reference": None},
        {"reference": 7},
    ],
)
def test_a_result_without_a_patient_is_not_used_and_may_have_been_this_patients(subject: object) -> None:
    read = snapshot(observation("anc", Decimal("0.4"), "10*9/L", subject=subject))

    assert read.of("anc") == ()
    assert [(item.reference, item.fault) for item in read.unread] == [(OBSERVATION, Fault.OTHER)]


def test_a_urn_of_the_bundle_means_the_patient_it_stands_on() -> None:
    urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    mine = observation("anc", 2, "10*9/L", subject={"reference": urn})

    assert len(snapshot(Found(PATIENT, urn), Found(mine)).of("anc")) == 1
    assert snapshot(Found(PATIENT, "urn:uuid:1"), Found(mine)).of("anc") == ()


def test_the_fhir_server_of_the_request_tells_whose_an_absolute_reference_is() -> None:
    mine = observation("anc", 2, "10*9/L", subject={"reference": "http://ehr.example/fhir/Patient/patient-1"})

    assert len(snapshot(mine, server="http://ehr.example/fhir").of("anc")) == 1
    assert len(snapshot(mine, server="http://ehr.example/fhir/").of("anc")) == 1
    assert snapshot(mine, server="http://other.example/fhir").of("anc") == ()


def test_another_patients_low_count_does_not_hold_treatment() -> None:
    theirs = observation("anc", Decimal("0.4"), "10*9/L", id="theirs", subject={"reference": "Patient/patient-2"})
    explanation = explained(with_resources(request(), theirs))

    assert explanation["drafts"][0]["recommendation"]["action"] == "proceed"
    assert [item["reference"] for item in explanation["unread"]] == ["Observation/theirs"]


def test_a_patient_of_the_same_id_on_another_server_is_another_patient() -> None:
    elsewhere = "http://other.example/fhir/Patient/patient-1"
    theirs = observation("anc", Decimal("0.4"), "10*9/L", subject={"reference": elsewhere})

    read = snapshot(
        Found(PATIENT, _FULL_URL), Found(PATIENT, elsewhere), Found(theirs), server="http://ehr.example/fhir"
    )

    assert read.of("anc") == ()
