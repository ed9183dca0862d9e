"""What of a request's data is to be fetched, most decisive first: nothing where no lenalidomide is in play."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cds.fhir import Found, Medications, read_drafts, read_snapshot
from cds.snapshot import LENALIDOMIDE, Supply
from cds.terminology import Terminology
from hooks.fhir_pages import ANY_KIND, next_link
from hooks.prefetch import KIND_OF_KEY, REFERENCED, lacking_keys, templates
from hooks.request_resources import RequestResources
from hooks.wire import PATIENT_VIEW, HookRequest

_ORDERS = {"MedicationRequest", "MedicationDispense", "MedicationStatement"}
_PATIENT_TOKEN = "{{context.patientId}}"


@dataclass(frozen=True)
class Lack:
    """Data to fetch for one prefetch key: the answer to its template, the Medication of a reference, or what follows a page."""

    key: str
    kind: str
    reference: str = ""
    page: Mapping[str, Any] | None = None


def decisive(called: HookRequest, resources: RequestResources) -> list[Lack]:
    """What tells whether lenalidomide is in play, where that is not known yet."""
    if called.hook == PATIENT_VIEW:
        return [lack for lack in _data(called, resources) if lack.kind == "MedicationRequest"]
    unknown = _medications(resources.drafts, resources.reading.medications)
    return [] if not unknown or _is_in_play(called, resources) else unknown


def everything(called: HookRequest, resources: RequestResources) -> list[Lack]:
    """All that is lacking, where lenalidomide is in play."""
    lacks = [*_data(called, resources), *_referred_to(resources)]
    return lacks if lacks and _is_in_play(called, resources) else []


def referenced(called: HookRequest, resources: RequestResources) -> list[Lack]:
    """The Medications that drafts and orders refer to, where lenalidomide is in play."""
    lacks = _referred_to(resources)
    return lacks if lacks and _is_in_play(called, resources) else []


def search_of(key: str, patient_id: str, terminology: Terminology) -> str:
    """What answers a declared key, to be appended to a server's base URL; the id is one that may stand in a URL."""
    return _templates(terminology)[key].replace(_PATIENT_TOKEN, patient_id)


@cache
def _templates(terminology: Terminology) -> Mapping[str, str]:
    return templates(terminology)


def _is_in_play(called: HookRequest, resources: RequestResources) -> bool:
    if called.hook == PATIENT_VIEW:
        return _may_have_been_given(resources)
    orders, _ = read_drafts(resources.drafts, called.selections, resources.reading)
    return any(order.drug.token == LENALIDOMIDE for order in orders.orders)


def _may_have_been_given(resources: RequestResources) -> bool:
    """Whether the history holds lenalidomide, or may: it is not all there, or the drug of an order is not known."""
    supplied, reading = resources.supplied, resources.reading
    if not supplied.supply.get("MedicationRequest", Supply.ABSENT).proves_absence:
        return True
    history = [item for item in supplied.found if item.resource.get("resourceType") in _ORDERS]
    if _medications(history, reading.medications):
        return True
    orders = read_snapshot(history, supplied.supply, reading).orders
    return any(order.drug.token == LENALIDOMIDE for order in orders)


def _data(called: HookRequest, resources: RequestResources) -> list[Lack]:
    """The keys to ask for, and the pages to go on from."""
    keys = [Lack(key, KIND_OF_KEY[key]) for key in lacking_keys(called.prefetch, resources.supplied)]
    kinds: dict[str, str] = {}
    for kind, listed in resources.supplied.shortfalls.items():
        for one in listed:
            kinds[one.key] = ANY_KIND if one.key in kinds else kind
    pages = [
        Lack(key, kinds[key], page=value)
        for key, value in called.prefetch.items()
        if key in kinds and isinstance(value, Mapping) and next_link(value) is not None
    ]
    asked = {lack.key for lack in keys}
    return [*keys, *(page for page in pages if page.key not in asked)]


def _referred_to(resources: RequestResources) -> list[Lack]:
    return _medications((*resources.drafts, *resources.supplied.found), resources.reading.medications)


def _medications(holders: Iterable[Found], known: Medications) -> list[Lack]:
    references: dict[str, None] = {}
    for item in holders:
        if item.resource.get("resourceType") in _ORDERS:
            reference = _reference(item.resource)
            if reference and known.resolve(reference, item.resource) is None:
                references[reference] = None
    return [Lack(REFERENCED, "Medication", reference) for reference in references if not reference.startswith("#")]


def _reference(order: Mapping[str, Any]) -> str:
    """The reference to its Medication (R4, and R5's shape) where the order does not name its drug itself."""
    either = order.get("medication")
    medication = either if isinstance(either, Mapping) else {}
    if order.get("medicationCodeableConcept") or medication.get("concept"):
        return ""
    reference = order.get("medicationReference") or medication.get("reference")
    target = reference.get("reference") if isinstance(reference, Mapping) else None
    return target.strip() if isinstance(target, str) else ""
