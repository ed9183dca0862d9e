"""The record: allergies and adverse events; which entries are facts, and how severe they are."""

from __future__ import annotations

from typing import Any

import pytest

from cds.snapshot import AllergyFact, Fault, Reaction
from tests.support import codes
from tests.support.fhir import (
    HL7,
    RXNORM,
    SNOMED,
    SUBJECT,
    changed,
    coded,
    judged,
    request,
    snapshot,
    with_resources,
)

_OTHER = {"reference": "Patient/patient-2"}
_GRADE_SYSTEM = "http://hl7.org/fhir/us/ctcae/CodeSystem/ctcae-grade-code-system"


def _verified(code: str, kind: str = "condition-ver-status") -> dict[str, Any]:
    return coded(f"{HL7}/{kind}", code)


def _condition(name: str = "multiple-myeloma", **changes: Any) -> dict[str, Any]:
    base = {"resourceType": "Condition", "id": "c-1", "code": codes.condition(name), "subject": SUBJECT}
    return changed(base, changes)


def _allergy(**changes: Any) -> dict[str, Any]:
    base = {"resourceType": "AllergyIntolerance", "id": "a-1", "code": codes.drug("lenalidomide"), "patient": SUBJECT}
    return changed(base, changes)


def _event(**changes: Any) -> dict[str, Any]:
    base = {"resourceType": "AdverseEvent", "id": "e-1", "actuality": "actual", "event": codes.condition("rash")}
    return changed({**base, "subject": SUBJECT, "date": "2024-05-01"}, changes)


def _allergies(*resources: dict[str, Any]) -> tuple[AllergyFact, ...]:
    return snapshot(*resources).allergies


def _reaction(resource: dict[str, Any]) -> Reaction:
    (reaction,) = snapshot(resource).reactions
    return reaction


# --- Allergy ---------------------------------------------------------------------------------------------------------


def test_an_allergy_is_to_a_drug_by_code_substance_or_words() -> None:
    substance = {"reaction": [{"substance": codes.drug("lenalidomide"), "manifestation": [{"text": "rash"}]}]}

    for allergy in (_allergy(), _allergy(code=None, **substance), _allergy(code={"text": "Revlimid"})):
        assert [fact.token for fact in _allergies(allergy)] == ["lenalidomide"]


@pytest.mark.parametrize("code", ["refuted", "entered-in-error"])
def test_a_refuted_allergy_is_no_fact(code: str) -> None:
    assert _allergies(_allergy(verificationStatus=_verified(code, "allergyintolerance-verification"))) == ()


def test_an_allergy_to_something_else_is_no_fact() -> None:
    assert _allergies(_allergy(code=coded(SNOMED, "227037002", display="Fish"))) == ()


def test_another_patients_allergy_is_refused_and_reported() -> None:
    read = snapshot(_allergy(patient=_OTHER))

    assert read.allergies == ()
    assert [(item.reference, item.fault) for item in read.unread] == [("AllergyIntolerance/a-1", Fault.FOREIGN)]


@pytest.mark.parametrize(
    ("changes", "severe"),
    [
        ({}, None),
        ({"criticality": "high"}, True),
        ({"criticality": "low"}, None),
        ({"reaction": [{"severity": "severe", "manifestation": [{"text": "rash"}]}]}, True),
        ({"reaction": [{"severity": "mild", "manifestation": [{"text": "rash"}]}]}, False),
        ({"reaction": [{"manifestation": [codes.condition("angioedema")]}]}, True),
        ({"reaction": [{"manifestation": [{"concept": codes.condition("angioedema")}]}]}, True),
        ({"reaction": {"manifestation": codes.condition("anaphylaxis")}}, True),
    ],
    ids=str,
)
def test_the_severity_of_an_allergy_is_read_in_every_place(changes: dict[str, Any], severe: bool | None) -> None:  # noqa: FBT001
    (fact,) = _allergies(_allergy(**changes))

    assert fact.severe is severe


# --- Adverse events --------------------------------------------------------------------------------------------------

_GRADE_3 = coded(_GRADE_SYSTEM, "3")
_PLACES: dict[str, dict[str, Any]] = {
    "ae-research": {
        "extension": [
            {
                "url": "http://hl7.org/fhir/uv/ae-research-ig/StructureDefinition/ae-grade",
                "valueCodeableConcept": coded("http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "C41340"),
            }
        ]
    },
    "ctcae": {
        "extension": [
            {"url": "http://hl7.org/fhir/us/ctcae/StructureDefinition/ctcae-grade", "valueCodeableConcept": _GRADE_3}
        ]
    },
    "mcode": {
        "extension": [
            {"url": "http://hl7.org/fhir/us/mcode/StructureDefinition/ctcae-grade", "valueCodeableConcept": _GRADE_3}
        ]
    },
    "onconova": {
        "extension": [
            {
                "url": "http://onconova.github.io/fhir/StructureDefinition/onconova-ext-adverse-event-ctc-grade",
                "valueInteger": 3,
            }
        ]
    },
    "severity": {
        "severity": coded(
            "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/CodeSystem/mii-vs-onko-nebenwirkung-ctcae-grad",
            "3",
        )
    },
}


@pytest.mark.parametrize("place", _PLACES)
def test_the_grade_of_an_adverse_event_is_read_in_every_place(place: str) -> None:
    assert _reaction(_event(**_PLACES[place])).grade == 3


@pytest.mark.parametrize("place", _PLACES)
def test_a_severe_reaction_to_lenalidomide_holds_treatment_wherever_its_grade_stands(place: str) -> None:
    history = [{"dose_mg": "10", "schedule_days": "28", "start": "2024-04-17"}]
    suspect = {"suspectEntity": [{"instance": {"reference": "MedicationRequest/lenalidomide-1"}}]}
    hook_request = with_resources(request(history=history), _event(**_PLACES[place], **suspect))

    assert judged(hook_request)["recommendation"]["action"] == "hold"


@pytest.mark.parametrize("code", ["mild", "moderate", "severe"])
def test_a_severity_in_words_is_no_grade(code: str) -> None:
    assert _reaction(_event(severity=coded(f"{HL7}/adverse-event-severity", code))).grade is None


def test_a_grade_on_a_condition_makes_it_a_reaction() -> None:
    grade = {"severity": coded(SNOMED, "446431000124107")}

    assert _reaction(_condition("rash", **grade)).grade == 3
    assert snapshot(_condition("rash")).reactions == ()


@pytest.mark.parametrize(
    ("changes", "resolved"),
    [
        ({}, False),
        ({"outcome": _verified("ongoing", "adverse-event-outcome")}, False),
        ({"outcome": _verified("resolving", "adverse-event-outcome")}, False),
        ({"outcome": _verified("recovering", "adverse-event-outcome")}, False),
        ({"outcome": _verified("resolved", "adverse-event-outcome")}, True),
        ({"outcome": [_verified("resolved", "adverse-event-outcome")]}, True),
    ],
    ids=str,
)
def test_an_adverse_event_is_open_until_it_is_resolved(changes: dict[str, Any], resolved: bool) -> None:  # noqa: FBT001
    assert _reaction(_event(**changes)).resolved is resolved


def test_a_potential_event_did_not_happen() -> None:
    assert snapshot(_event(actuality="potential")).reactions == ()


def test_another_patients_event_is_refused_and_reported() -> None:
    read = snapshot(_event(subject=_OTHER))

    assert read.reactions == ()
    assert [(item.reference, item.fault) for item in read.unread] == [("AdverseEvent/e-1", Fault.FOREIGN)]


@pytest.mark.parametrize(
    ("suspect", "attributed"),
    [
        ({"reference": "#drug"}, True),
        ({"display": "lenalidomide 10 mg"}, True),
        ({"reference": "Medication/other", "display": "allopurinol"}, False),
        (None, None),
    ],
    ids=str,
)
def test_an_event_is_attributed_as_its_suspects_say(suspect: dict[str, Any] | None, attributed: bool | None) -> None:  # noqa: FBT001
    drug = {"resourceType": "Medication", "id": "drug", "code": coded(RXNORM, "342369")}
    entity = None if suspect is None else [{"instance": suspect}]

    assert _reaction(_event(contained=[drug], suspectEntity=entity)).attributed is attributed
