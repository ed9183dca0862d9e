"""A request's resources become the snapshot of one patient and the draft orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TypeVar

from cds.fhir.demographics import read_patient
from cds.fhir.devices import DEVICE_KINDS, read_device
from cds.fhir.identity import Found, Medications, PatientIdentity
from cds.fhir.observations import read_observations
from cds.fhir.orders import (
    DrugRead,
    does_not_count,
    order_reference,
    read_dispense,
    read_drug,
    read_order,
    read_statement,
)
from cds.fhir.primitives import Json, UnreadableError, day, items, mapping, moment, reference_of, shown, text
from cds.fhir.programme import shows_programme
from cds.fhir.records import (
    partly_unreadable,
    reaction_of,
    read_adverse_event,
    read_allergy,
    read_condition,
    read_procedure,
)
from cds.snapshot import (
    LENALIDOMIDE,
    ConditionFact,
    Dosing,
    DraftOrders,
    Fault,
    MedicationOrder,
    PatientSnapshot,
    ProcedureFact,
    Supply,
    Unread,
)
from cds.terminology import NOWHERE, ProgrammePlaces, Terminology

_Fact = TypeVar("_Fact")
_LONG_VERSION = 10
_DISPENSED = {"completed", "in-progress"}


@dataclass(frozen=True)
class Reading:
    """How a request is read: whose it is, the terminology, and now (whose zone is the organisation's).

    ``programme`` tells where a record shows the pregnancy-prevention programme.
    """

    patient: PatientIdentity
    medications: Medications
    terminology: Terminology
    now: datetime
    programme: ProgrammePlaces = NOWHERE


def read_snapshot(
    found: Sequence[Found], supply: Mapping[str, Supply], reading: Reading, unread: Sequence[Unread] = ()
) -> PatientSnapshot:
    """The snapshot of the patient from all resources supplied, each read once; a bad one costs only itself."""
    by_type = _by_type(found)
    problems = list(unread)
    zone, terms = reading.now.tzinfo, reading.terminology
    assert zone is not None
    patients = _own_patients(by_type, reading, problems)
    observations = read_observations(by_type.get("Observation", []), reading.patient, terms, reading.now)
    requests = [
        (resource, read_drug(resource, reading.medications, terms)) for resource in by_type.get("MedicationRequest", [])
    ]
    orders = _read_history(requests, by_type, reading, problems)

    def each(kind: str, subject: str, read: Callable[[Json], _Fact | None]) -> list[_Fact]:
        return _each(by_type.get(kind, []), subject, read, reading.patient, problems, zone)

    conditions = each("Condition", "subject", lambda resource: read_condition(resource, terms, reading.now))
    procedures = [
        fact
        for kind in ("Procedure", "ServiceRequest")
        for fact in each(kind, "subject", lambda resource: read_procedure(resource, terms, zone))
    ]
    mine = {order.reference for order in orders if order.drug.token == LENALIDOMIDE}
    events = each("AdverseEvent", "subject", lambda resource: read_adverse_event(resource, terms, zone, mine))
    from_conditions = (reaction_of(condition, terms.reaction_tokens) for condition in conditions)
    patient = read_patient(patients[0], terms, reading.now) if patients else None
    devices = [
        fact
        for kind, owner in DEVICE_KINDS.items()
        for fact in each(
            kind, owner, lambda resource: read_device(resource, by_type.get("Device", []), terms, reading.now)
        )
    ]
    flagged = each("Flag", "subject", lambda resource: True if _in_programme(resource, reading) else None)
    if patient is not None and patient.birth_date is None and "birthDate" in patients[0]:
        born = shown(patients[0]["birthDate"])
        problems.append(Unread(patient.reference, f"birthDate {born} is not the date of birth of a living person"))
    return PatientSnapshot(
        patient=patient,
        results=observations.results,
        orders=tuple(orders),
        conditions=tuple(sorted(conditions, key=lambda fact: fact.day or date.min)),
        procedures=tuple(procedures),
        allergies=tuple(each("AllergyIntolerance", "patient", lambda resource: read_allergy(resource, terms))),
        reactions=(*events, *(reaction for reaction in from_conditions if reaction is not None)),
        devices=tuple(devices),
        in_programme=bool(flagged) or any(_in_programme(resource, reading) for resource in patients),
        unread=(*problems, *observations.unread),
        supply=_proven(supply, requests),
    )


def read_drafts(
    found: Sequence[Found], selections: frozenset[str] | None, reading: Reading
) -> tuple[DraftOrders, tuple[str, ...]]:
    """The draft orders of drugs the rules know, and references of drafts whose Medication could not be had."""
    orders: list[MedicationOrder] = []
    unread: list[Unread] = []
    unresolved: list[str] = []
    zone = reading.now.tzinfo
    assert zone is not None
    for item in found:
        if item.resource.get("resourceType") != "MedicationRequest" or does_not_count(item.resource):
            continue
        drug = read_drug(item.resource, reading.medications, reading.terminology)
        if drug.unresolved:
            unresolved.append(reference_of(item.resource))
        if drug.drug is None:
            continue
        order = read_order(item.resource, drug.drug, reading.terminology, zone)
        if _in_programme(item.resource, reading):
            order = replace(order, in_programme=True)
        try:
            reading.patient.check(item.resource.get("subject"), "subject")
        except UnreadableError as error:
            unread.append(Unread(order.reference, error.why, error.fault, drug.drug.token))
            order = _of_nobody(order, error.why)
        orders.append(order)
    return DraftOrders(tuple(orders), selections, tuple(unread)), tuple(unresolved)


def _in_programme(resource: Json, reading: Reading) -> bool:
    zone = reading.now.tzinfo
    assert zone is not None
    return shows_programme(resource, reading.programme, reading.now.date(), zone)


def _of_nobody(order: MedicationOrder, why: str) -> MedicationOrder:
    return MedicationOrder(
        order.reference, order.drug, order.status, Dosing(dose_stated=True, problems=(f"its {why}",)), order.intent
    )


def _by_type(found: Iterable[Found]) -> dict[str, list[Json]]:
    """Resources by type, each once: the same id again with the same content, or in an older version, is dropped."""
    kept: dict[str, list[Json]] = {}
    places: dict[tuple[str, str], int] = {}
    for item in found:
        resource = item.resource
        kind, identifier = text(resource.get("resourceType")), text(resource.get("id"))
        resources = kept.setdefault(kind, [])
        place = places.setdefault((kind, identifier), len(resources)) if identifier else len(resources)
        if place < len(resources) and _says_nothing_new(resource, resources[place]):
            if _version(resource) > _version(resources[place]):
                resources[place] = resource
            continue
        if place < len(resources):
            places[kind, identifier] = len(resources)
        resources.append(resource)
    return kept


def _says_nothing_new(resource: Json, earlier: Json) -> bool:
    """The same again, or another version of the same; two contents of one version are both kept."""
    return resource == earlier or _version(resource) != _version(earlier)


def _version(resource: Json) -> tuple[datetime, int]:
    meta = mapping(resource.get("meta"))
    version = text(meta.get("versionId"))
    try:
        updated = moment(meta.get("lastUpdated"), "meta.lastUpdated", UTC).instant
    except UnreadableError:
        updated = None
    counted = int(version) if version.isascii() and version.isdecimal() and len(version) < _LONG_VERSION else 0
    return updated or datetime.min.replace(tzinfo=UTC), counted


def _each(
    resources: Iterable[Json],
    subject: str,
    read: Callable[[Json], _Fact | None],
    patient: PatientIdentity,
    problems: list[Unread],
    zone: tzinfo,
) -> list[_Fact]:
    """Facts of all resources of a kind; one that cannot be read, or only in part, is named."""
    facts = []
    for resource in resources:
        fact: _Fact | None = None
        try:
            fact = read(resource)
            if fact is None:
                continue
            patient.check(resource.get(subject), subject)
        except UnreadableError as error:
            reference = reference_of(resource)
            if patient.is_another(resource.get(subject)):
                problems.append(Unread(reference, f"{subject} is another patient", Fault.FOREIGN))
                continue
            over = isinstance(fact, ConditionFact) and fact.active is False
            named = fact.token if isinstance(fact, ConditionFact | ProcedureFact) and not over else None
            token = error.token or named
            day_named = _recorded_on(resource, zone)
            problems.append(Unread(reference, error.why, error.fault, token, day_named, over=error.over or over))
            continue
        problems += [Unread(reference_of(resource), why) for why in partly_unreadable(resource, fact)]
        facts.append(fact)
    return facts


def _recorded_on(resource: Json, zone: tzinfo) -> date | None:
    """The latest day that a record names: a suspicion recorded today is not settled by a test before."""
    onset = mapping(resource.get("onsetPeriod")).get("start")
    written = [resource.get(name) for name in ("onsetDateTime", "performedDateTime", "recordedDate")]
    days = [day(raw, zone) for raw in (onset, *written)]
    return max((found for found in days if found is not None), default=None)


def _read_history(
    requests: Sequence[tuple[Json, DrugRead]],
    by_type: Mapping[str, list[Json]],
    reading: Reading,
    problems: list[Unread],
) -> list[MedicationOrder]:
    """Orders and dispenses of the drugs the rules know; a dispense of an order that is there says nothing new."""
    zone = reading.now.tzinfo
    assert zone is not None
    orders = []
    for resource, found in requests:
        if not does_not_count(resource) and _is_ours(resource, found, reading, problems) and found.drug is not None:
            order = read_order(resource, found.drug, reading.terminology, zone)
            if order.drug.token == LENALIDOMIDE and order.status == "stopped" and order.end is None:
                problems.append(Unread(order.reference, "it was stopped, on a day that is not recorded"))
            if order.drug.token != LENALIDOMIDE:
                problems += _partly_unread(resource, order)
            orders.append(order)
    known = {order.reference: order for order in orders}
    for resource in by_type.get("MedicationDispense", []):
        found = read_drug(resource, reading.medications, reading.terminology)
        authorised = {order_reference(item) for item in items(resource.get("authorizingPrescription"))}
        if text(resource.get("status")) not in _DISPENSED or not _is_ours(resource, found, reading, problems):
            continue
        assert found.drug is not None
        try:
            dispense = read_dispense(resource, found.drug, reading.terminology, zone)
        except UnreadableError as error:
            problems.append(Unread(reference_of(resource), error.why, error.fault, found.drug.token))
            continue
        of_order = next((known[reference] for reference in authorised if reference in known), None)
        if of_order is None:
            orders.append(dispense)
        elif _is_refill(dispense, of_order):
            orders.append(replace(dispense, dosing=of_order.dosing, drug=of_order.drug))
    return [*orders, *_read_statements(by_type, reading, problems)]


def _read_statements(
    by_type: Mapping[str, list[Json]], reading: Reading, problems: list[Unread]
) -> list[MedicationOrder]:
    """What the patient is said to take beside lenalidomide: a statement is no order, so it tells nothing of the course."""
    zone = reading.now.tzinfo
    assert zone is not None
    statements = []
    for resource in by_type.get("MedicationStatement", []):
        found = read_drug(resource, reading.medications, reading.terminology)
        if does_not_count(resource) or not _is_ours(resource, found, reading, problems):
            continue
        assert found.drug is not None
        if found.drug.token != LENALIDOMIDE:
            statement = read_statement(resource, found.drug, reading.terminology, zone)
            problems += _partly_unread(resource, statement)
            statements.append(statement)
    return statements


def _partly_unread(resource: Json, order: MedicationOrder) -> list[Unread]:
    """What of an order of another drug could not be read: without its status it is not known to be taken."""
    whys = partly_unreadable(resource, order)
    whys += [] if order.status else ["its status cannot be read"]
    return [Unread(order.reference, why, token=order.drug.token) for why in whys]


def _is_refill(dispense: MedicationOrder, order: MedicationOrder) -> bool:
    """A dispense of an order that is there says nothing new, unless it came after the days the order covers."""
    if dispense.start is None or order.start is None or order.days_supply is None:
        return False
    return dispense.start >= order.start + timedelta(days=order.days_supply)


def _own_patients(by_type: Mapping[str, list[Json]], reading: Reading, problems: list[Unread]) -> list[Json]:
    """The Patient resources of this patient; others are named."""
    own = [resource for resource in by_type.get("Patient", []) if reading.patient.is_patient(resource)]
    problems += [
        Unread(reference_of(resource), "is another patient", Fault.FOREIGN)
        for resource in by_type.get("Patient", [])
        if resource not in own
    ]
    return own


def _proven(supply: Mapping[str, Supply], requests: Iterable[tuple[Json, DrugRead]]) -> Mapping[str, Supply]:
    """What came, as far as it proves: an order of an unknown drug may be lenalidomide, so that there is no other is open."""
    if not any(_may_be_any_drug(resource, found) for resource, found in requests):
        return supply
    return {**supply, "MedicationRequest": _at_most_partial(supply.get("MedicationRequest"))}


def _may_be_any_drug(order: Json, found: DrugRead) -> bool:
    """Whether an order names its drug by a Medication alone that could not be had."""
    return bool(found.unresolved) and found.drug is None and not found.words and not does_not_count(order)


def _at_most_partial(supply: Supply | None) -> Supply:
    return Supply.PARTIAL if supply is None or supply.proves_absence else supply


def _is_ours(resource: Json, found: DrugRead, reading: Reading, problems: list[Unread]) -> bool:
    """Whether the order is of a known drug and of this patient; an order that may be one and is not told is named."""
    if found.drug is None:
        if found.unresolved and (text(resource.get("status")) == "active" or not found.words):
            problems.append(Unread(reference_of(resource), f"its medication {found.unresolved} was not supplied"))
        elif not found.unresolved and not found.words and not found.coded:
            problems.append(Unread(reference_of(resource), "its drug cannot be read"))
        return False
    try:
        reading.patient.check(resource.get("subject"), "subject")
    except UnreadableError as error:
        token = None if error.fault is Fault.FOREIGN else found.drug.token
        problems.append(Unread(reference_of(resource), error.why, error.fault, token))
        return False
    return True
