"""Small FHIR resources, and what the reader makes of them through the package's public functions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cds.fhir import Found, Medications, PatientIdentity, Reading, read_drafts, read_snapshot
from cds.snapshot import MedicationOrder, PatientSnapshot, Result
from cds.terminology import load_terminology
from hooks import answer
from tests.support import codes
from tests.support.case import Case
from tests.support.request_builder import build_request

Json = dict[str, Any]

NOW = datetime(2024, 5, 15, 9, 0, tzinfo=UTC)
PATIENT_ID = "patient-1"
SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}
PATIENT = {"resourceType": "Patient", "id": PATIENT_ID, "gender": "male", "birthDate": "1960-02-01"}
OBSERVATION = "Observation/obs-1"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
HL7 = "http://terminology.hl7.org/CodeSystem"
FHIR = "http://hl7.org/fhir/StructureDefinition"
CAPSULE_10_MG = "602910"
EXPLANATION = "org.lenalidomide-maintenance.evaluation"


def changed(resource: Json, changes: Json) -> Json:
    """The resource with other elements; an element changed to None is left out."""
    return {key: value for key, value in {**resource, **changes}.items() if value is not None}


def coded(system: str | None, code: str, **more: Any) -> Json:
    """A CodeableConcept of one coding."""
    coding = {"code": code, **more} if system is None else {"system": system, "code": code, **more}
    return {"coding": [coding]}


def observation(token_or_code: str, value: Any = None, unit: str | None = None, **changes: Any) -> Json:
    """A final Observation of today under a LOINC code, or under the first code of a token."""
    is_code = token_or_code[-2:-1] == "-" and token_or_code[-1:].isdecimal()
    code = coded(LOINC, token_or_code) if is_code else codes.observation(token_or_code)
    base = {
        "resourceType": "Observation",
        "id": "obs-1",
        "status": "final",
        "code": code,
        "subject": SUBJECT,
        "effectiveDateTime": "2024-05-15",
    }
    if value is not None:
        base["valueQuantity"] = {"value": value} if unit is None else {"value": value, "unit": unit}
    return changed(base, changes)


def lenalidomide(code: str = CAPSULE_10_MG) -> Json:
    """The drug by an RxNorm code."""
    return coded(RXNORM, code)


def dosage(value: Any = 10, unit: Any = "mg", *, repeat: Any = None, **changes: Any) -> Json:
    """One structured dosage line, once daily unless a repeat is given."""
    quantity = {"value": value} if unit is None else {"value": value, "unit": unit}
    timing = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"} if repeat is None else repeat}
    return changed({"timing": timing, "doseAndRate": [{"doseQuantity": quantity}]}, changes)


def order(*lines: Json, **changes: Any) -> Json:
    """An active order of lenalidomide 10 mg capsules of 1 May; once daily unless lines are given."""
    base = {
        "resourceType": "MedicationRequest",
        "id": "rx-1",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": lenalidomide(),
        "subject": SUBJECT,
        "authoredOn": "2024-05-01",
        "dosageInstruction": list(lines) or [dosage()],
    }
    return changed(base, changes)


def reading_of(
    found: Iterable[Found], now: datetime = NOW, server: str | None = None, patient_id: str = PATIENT_ID
) -> Reading:
    """How a request that holds these resources is read."""
    listed = list(found)
    return Reading(PatientIdentity(patient_id, listed, server), Medications(listed), load_terminology(), now)


def snapshot(*resources: Json | Found, now: datetime = NOW, server: str | None = None) -> PatientSnapshot:
    """The snapshot of the patient from these resources."""
    found = [item if isinstance(item, Found) else Found(item) for item in resources]
    return read_snapshot(found, {}, reading_of(found, now, server))


def results(token: str, *resources: Json, now: datetime = NOW) -> tuple[Result, ...]:
    """The usable results of one kind."""
    return snapshot(*resources, now=now).of(token)


def value_of(token: str, *resources: Json) -> Decimal:
    """The value of the only usable result of one kind."""
    (result,) = results(token, *resources)
    return result.value


def reasons(*resources: Json | Found, now: datetime = NOW, server: str | None = None) -> dict[str, str]:
    """What was not read and why, by reference."""
    return {item.reference: item.why for item in snapshot(*resources, now=now, server=server).unread}


def read_as_history(*resources: Json | Found) -> tuple[MedicationOrder, ...]:
    """The orders that the history knows."""
    return snapshot(*resources).orders


def read_as_draft(resource: Json, *others: Json | Found) -> MedicationOrder | None:
    """The one draft order, None when it is of no drug the rules know."""
    found = [Found(resource), *(item if isinstance(item, Found) else Found(item) for item in others)]
    orders, _ = read_drafts(found, None, reading_of(found))
    return orders.orders[0] if orders.orders else None


BASELINE: Json = {
    "id": "reading",
    "title": "A new start with everything in order",
    "rule": "dosing.start-dose",
    "now": "2024-05-15T09:00:00Z",
    "patient": {"birth_date": "1960-02-01", "sex": "male"},
    "conditions": [{"code": "multiple-myeloma", "onset": "2023-06-01"}],
    "procedures": [{"code": "autologous-hsct", "date": "2024-01-20"}],
    "medications": [{"code": "aspirin", "dose": "81 mg once daily"}],
    "labs": {
        "anc": [{"value": "2.4", "unit": "10*9/L"}],
        "platelets": [{"value": "180", "unit": "10*9/L"}],
        "creatinine": [{"value": "1.0", "unit": "mg/dL"}],
        "body-weight": [{"value": "80", "unit": "kg"}],
    },
    "drafts": [{"dose_mg": "10", "schedule_days": "28", "days_supply": 28, "refills": 0}],
    "expect": {"action": None},
}


def labs(**changes: Any) -> Json:
    """The laboratory results of the baseline, some of them others."""
    return {**BASELINE["labs"], **changes}


def request(**changes: Any) -> Json:
    """The whole order-sign request of the baseline, or of a case that differs from it."""
    return build_request(Case.model_validate({**BASELINE, **changes}))


def with_resources(hook_request: Json, *resources: Json) -> Json:
    """The request with more resources under a prefetch key of their own."""
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": item} for item in resources]}
    return {**hook_request, "prefetch": {**hook_request["prefetch"], "more": bundle}}


def without(hook_request: Json, key: str, *ids: str) -> Json:
    """The request without some entries of one prefetch Bundle."""
    bundle = hook_request["prefetch"][key]
    kept = [entry for entry in bundle["entry"] if entry["resource"]["id"] not in ids]
    return {
        **hook_request,
        "prefetch": {**hook_request["prefetch"], key: {**bundle, "entry": kept, "total": len(kept)}},
    }


def explained(hook_request: Json, now: datetime = NOW) -> Json:
    """The explanation of the answer."""
    explanation: Json = answer(hook_request, now=now, explain=True)["extension"][EXPLANATION]
    return explanation


def judged(hook_request: Json, now: datetime = NOW) -> Json:
    """The explanation of the only draft."""
    (draft,) = explained(hook_request, now)["drafts"]
    judged_draft: Json = draft
    return judged_draft


def fired(hook_request: Json, now: datetime = NOW) -> dict[str, Json]:
    """Findings about the only draft, by rule id."""
    return {finding["id"]: finding for finding in judged(hook_request, now)["findings"]}
