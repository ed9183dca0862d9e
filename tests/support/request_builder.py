"""Builds the whole CDS Hooks request (FHIR R4) of a clinical case, as an EHR would send it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from tests.support import codes
from tests.support.case import AdverseEvent, Allergy, Case, Condition, Device, Patient, Procedure, Reading, Response
from tests.support.orders import LENALIDOMIDE, UCUM, drafted_order, number, other_order, past_orders

Json = dict[str, Any]

PATIENT_ID = "patient-1"
_SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}
_HL7 = "http://terminology.hl7.org/CodeSystem"
_CTCAE = "http://hl7.org/fhir/us/ctcae"
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core"
_US_CORE_RACE = f"{_US_CORE}-race"
_CLINICAL_SEX = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
_GENDER_IDENTITY = {
    "trans-man": "407377005",
    "trans-woman": "407376001",
    "male": "446151000124109",
    "female": "446141000124107",
}
_VITAL_SIGNS = frozenset({"body-weight", "body-height", "bmi"})
_SEVERITY = {"mild": "255604002", "moderate": "6736007", "severe": "24484000"}

# The unit strings that are valid UCUM and mean in UCUM what laboratories mean: "K/uL" would be kelvin.
_VALID_UCUM_STRINGS = (
    "10*9/L 10*3/uL 10*6/L 10*6/uL /uL {cells}/uL /mm3 /nL mg/dL mg/L umol/L mmol/L g/dL g/L ng/mL kg g [lb_av] [oz_av]"
    " cm m mm [in_i] [ft_i] kg/m2 mL/min mL/s mL/min/{1.73_m2} U/L [IU]/L nkat/L ukat/L m[IU]/L m[IU]/mL u[IU]/mL mU/L"
    " mU/mL % {INR}"
)
_VALID_UCUM = frozenset(_VALID_UCUM_STRINGS.split())


def build_request(case: Case) -> Json:
    """The request of a merged case; numbers are ints and decimals, as from a parser that keeps their text."""
    today = case.now.date()
    drafts = _identified(("draft", drafted_order(draft, today)) for draft in case.drafts)
    co_drafted = _identified(
        (f"draft-{item.code}", other_order(item, today)) for item in case.medications if item.drafted
    )
    context: Json = {
        "userId": "Practitioner/prescriber-1",
        "patientId": PATIENT_ID,
        "encounterId": "encounter-1",
    }
    if case.hook != "patient-view":
        entries = [{"resource": order} for order in drafts + co_drafted]
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    if case.hook == "order-select":
        context["selections"] = [f"MedicationRequest/{order['id']}" for order in drafts]
    return {
        "hook": case.hook,
        "hookInstance": str(uuid.uuid5(uuid.NAMESPACE_URL, case.id)),
        "context": context,
        "prefetch": _prefetch(case),
    }


def _prefetch(case: Case) -> Json:
    today = case.now.date()
    past = [(LENALIDOMIDE, order) for item in case.history for order in past_orders(item)]
    others = [(item.code, other_order(item, today)) for item in case.medications if not item.drafted]
    kinds = {
        "observations": _observations(case),
        "medications": past + others,
        "conditions": [(item.code, _condition(item)) for item in case.conditions],
        "procedures": [(item.code, _procedure(item)) for item in case.procedures],
        "allergies": [(item.code, _allergy(item)) for item in case.allergies],
    }
    kinds |= {
        key: named
        for key, named in {
            "devices": [(item.code, _device(item)) for item in case.devices],
            "flags": [("flag", _flag(item)) for item in case.flags],
        }.items()
        if named
    }
    if case.adverse_events:
        kinds["adverse-events"] = [(item.code, _adverse_event(item)) for item in case.adverse_events]
    prefetch = {"patient": _patient(case.patient)}
    for key, named in kinds.items():
        if key not in case.withheld:
            prefetch[key] = _operation_outcome() if key in case.failed else _bundle(_identified(named))
    return prefetch


def _identified(named: Iterable[tuple[str, Json]]) -> list[Json]:
    """The resources with the patient as subject and ids that stay the same: ``anc-1``, ``anc-2``."""
    count: Counter[str] = Counter()
    resources = []
    for name, resource in named:
        count[name] += 1
        subject = "patient" if resource["resourceType"] == "AllergyIntolerance" else "subject"
        resources.append({subject: _SUBJECT, **resource, "id": f"{name}-{count[name]}"})
    return resources


def _bundle(resources: list[Json]) -> Json:
    entries = [
        {
            "fullUrl": f"http://ehr.example/fhir/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _operation_outcome() -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def _patient(patient: Patient) -> Json:
    resource = {"resourceType": "Patient", "id": PATIENT_ID, "birthDate": patient.birth_date, "gender": patient.sex}
    extensions = list(_extensions(patient))
    identifiers = [] if patient.programme is None else [{"system": patient.programme, "value": "A-1"}]
    return _stated({**resource, "extension": extensions or None, "identifier": identifiers or None})


def _extensions(patient: Patient) -> Iterator[Json]:
    if patient.race is not None:
        category = codes.race(patient.race)
        parts = [{"url": "ombCategory", "valueCoding": category}, {"url": "text", "valueString": category["display"]}]
        yield {"url": _US_CORE_RACE, "extension": parts}
    if patient.birth_sex is not None:
        yield {"url": f"{_US_CORE}-birthsex", "valueCode": patient.birth_sex}
    if patient.sex_for_clinical_use is not None:
        value = _status("sex-parameter-for-clinical-use", patient.sex_for_clinical_use)
        yield {"url": _CLINICAL_SEX, "extension": [{"url": "value", "valueCodeableConcept": value}]}
    if patient.gender_identity is not None:
        coding = {"system": "http://snomed.info/sct", "code": _GENDER_IDENTITY[patient.gender_identity]}
        yield {"url": f"{_US_CORE}-genderIdentity", "valueCodeableConcept": {"coding": [coding]}}


def _observations(case: Case) -> list[tuple[str, Json]]:
    readings = [(token, reading) for token, listed in case.labs.items() for reading in listed]
    singles = [
        (token, {**_observation(token, reading, case.now), **_measured(token, reading)})
        for token, reading in readings
        if reading.component_of is None
    ]
    told = [("contraception-method", item) for item in _interviews(case)]
    return singles + _panels(readings, case.now) + told + [("response", _response(item)) for item in case.responses]


def _interviews(case: Case) -> Iterator[Json]:
    """One Observation a method at each visit on which any began, and today."""
    days = sorted({*(item.since for item in case.contraception), case.now.date()})
    for day in days if case.contraception else ():
        for item in case.contraception:
            if item.since <= day:
                visit = Reading(result=item.method, date=day.isoformat())
                named = _observation("contraception-method", visit, case.now)
                yield {**named, **_measured("contraception-method", visit)}


def _panels(readings: list[tuple[str, Reading]], now: datetime) -> list[tuple[str, Json]]:
    """One Observation per panel, time and status, with the readings as its components."""

    def panel_of(named: tuple[str, Reading]) -> tuple[str, str, str]:
        return named[1].component_of or "", named[1].effective(now), named[1].status

    panels = []
    for (panel, _, _), members in groupby(sorted(readings, key=panel_of), key=panel_of):
        if panel:
            parts = list(members)
            components = [{"code": codes.observation(token), **_measured(token, reading)} for token, reading in parts]
            panels.append((panel, {**_observation(panel, parts[0][1], now), "component": components}))
    return panels


def _observation(token: str, reading: Reading, now: datetime) -> Json:
    category = "vital-signs" if token in _VITAL_SIGNS else "laboratory"
    subject = {} if reading.of is None else {"subject": {"reference": f"Patient/{reading.of}"}}
    return {
        **subject,
        "resourceType": "Observation",
        "status": reading.status,
        "category": [{"coding": [{"system": f"{_HL7}/observation-category", "code": category}]}],
        "code": codes.observation(token),
        "effectiveDateTime": reading.effective(now),
    }


def _measured(token: str, reading: Reading) -> Json:
    said = {} if reading.interpretation is None else {"interpretation": [_status_of(reading.interpretation)]}
    if reading.tells is not None:
        return {"valueDateTime": reading.tells}
    if reading.value is None:
        assert reading.result is not None, token
        return {"valueCodeableConcept": codes.answer(reading.result), **said}
    quantity = _quantity(reading.value, reading.unit)
    if reading.comparator is not None:
        quantity["comparator"] = reading.comparator
    limits = {
        end: _quantity(limit, reading.unit)
        for end, limit in (("low", reading.lln), ("high", reading.uln))
        if limit is not None
    }
    limit = {"referenceRange": [limits]} if limits else {}
    return {"valueQuantity": quantity, **limit, **said}


def _status_of(interpretation: str) -> Json:
    code = {"positive": "POS", "negative": "NEG", "indeterminate": "IND"}[interpretation]
    return {"coding": [{"system": f"{_HL7}/v3-ObservationInterpretation", "code": code}]}


def _quantity(value: Decimal, unit: str | None) -> Json:
    coded = {"system": UCUM, "code": unit} if unit in _VALID_UCUM else {}
    return _stated({"value": number(value), "unit": unit, **coded})


def _response(response: Response) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": codes.response_question(),
        "effectiveDateTime": response.date,
        "valueCodeableConcept": codes.answer(response.code),
    }


def _condition(condition: Condition) -> Json:
    resource: Json = {
        "resourceType": "Condition",
        "code": codes.condition(condition.code) if condition.text is None else {"text": condition.text},
        "clinicalStatus": _status("condition-clinical", condition.status),
        "verificationStatus": _status("condition-ver-status", condition.verification),
        "onsetDateTime": condition.onset,
        "recordedDate": condition.recorded,
        "abatementDateTime": condition.abated,
    }
    severity = [_grade(condition.grade)["coding"][0]] if condition.grade is not None else []
    if condition.severity is not None:
        severity.append({"system": "http://snomed.info/sct", "code": _SEVERITY[condition.severity]})
    return _stated({**resource, "severity": {"coding": severity} if severity else None})


def _procedure(procedure: Procedure) -> Json:
    return _stated(
        {
            "resourceType": "Procedure",
            "status": procedure.status,
            "code": codes.procedure(procedure.code),
            "performedDateTime": procedure.date,
            "bodySite": None if procedure.side is None else [codes.body_site(procedure.side)],
        }
    )


def _allergy(allergy: Allergy) -> Json:
    shown = [codes.condition(token) for token in allergy.manifestations]
    reaction = _stated({"manifestation": shown or None, "severity": allergy.severity})
    return _stated(
        {
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": _status("allergyintolerance-clinical", allergy.status),
            "verificationStatus": _status("allergyintolerance-verification", allergy.verification),
            "criticality": allergy.criticality,
            "code": codes.drug(allergy.code),
            "reaction": [reaction] if reaction else None,
        }
    )


def _device(device: Device) -> Json:
    inside = {"resourceType": "Device", "id": "device", "type": codes.device(device.code)}
    return _stated(
        {
            "resourceType": "DeviceUseStatement",
            "contained": [inside],
            "status": device.status,
            "timingPeriod": None if device.since is None else {"start": device.since},
            "device": {"reference": "#device"},
        }
    )


def _flag(named: str) -> Json:
    system, code = named.split("|")
    return {"resourceType": "Flag", "status": "active", "code": {"coding": [{"system": system, "code": code}]}}


def _adverse_event(event: AdverseEvent) -> Json:
    """Grade and end as the CTCAE implementation guide has them: R4's own ``severity`` knows no grades."""
    extensions: list[Json] = []
    if event.grade is not None:
        url = f"{_CTCAE}/StructureDefinition/ctcae-grade"
        extensions.append({"url": url, "valueCodeableConcept": _grade(event.grade)})
    if event.resolved is not None:
        url = f"{_CTCAE}/StructureDefinition/adverse-event-resolved-date"
        extensions.append({"url": url, "valueDateTime": event.resolved})
    suspect = {"resourceType": "Medication", "id": "suspect", "code": codes.drug(LENALIDOMIDE)}
    return _stated(
        {
            "resourceType": "AdverseEvent",
            "contained": [suspect] if event.attributed else None,
            "extension": extensions or None,
            "actuality": "actual",
            "event": codes.condition(event.code),
            "date": event.onset,
            "outcome": _status("adverse-event-outcome", "resolved" if event.status == "resolved" else "ongoing"),
            "suspectEntity": [{"instance": {"reference": "#suspect"}}] if event.attributed else None,
        }
    )


def _grade(grade: int) -> Json:
    coding = {"system": f"{_CTCAE}/CodeSystem/ctcae-grade-code-system", "code": str(grade), "display": f"Grade {grade}"}
    return {"coding": [coding]}


def _status(code_system: str, code: str | None) -> Json | None:
    return None if code is None else {"coding": [{"system": f"{_HL7}/{code_system}", "code": code}]}


def _stated(resource: Json) -> Json:
    """Without the elements the case says nothing about: FHIR has no nulls."""
    return {key: value for key, value in resource.items() if value is not None}
