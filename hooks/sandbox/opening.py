"""What is dropped on the page: a CDS Hooks request as it is, or a FHIR Bundle, of which a request is made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from hooks.clients import Client
from hooks.problems import MalformedError, Problem
from hooks.sandbox.renewal import renewal
from hooks.sandbox.scene import Exchange, Scene
from hooks.wire import ORDER_SIGN, PATIENT_VIEW, Json, decode, encode_for_reading

_KEYS = {
    "Patient": "patient",
    "Observation": "observations",
    "MedicationRequest": "medications",
    "Condition": "conditions",
    "Procedure": "procedures",
    "AllergyIntolerance": "allergies",
}


def opened(text: str, client: Client, now: datetime) -> str:
    """The request to send. Whatever is not a Bundle goes as it is: what is wrong with it is the service's to say.

    Raises MalformedError for a Bundle of which no request can be made.
    """
    try:
        document = decode(text)
    except Problem:
        return text
    if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
        return text
    return encode_for_reading(_request_of(document, client, now))


def _request_of(bundle: Mapping[str, Any], client: Client, now: datetime) -> Json:
    """The signing of a renewal for the Bundle's one patient, with all that the Bundle holds as prefetch."""
    by_key: dict[str, list[Json]] = {key: [] for key in _KEYS.values()}
    for resource in _resources(bundle):
        kind = str(resource.get("resourceType"))
        by_key.setdefault(_KEYS.get(kind, kind.casefold()), []).append({"resource": resource})
    patients = [entry["resource"] for entry in by_key.pop("patient")]
    if len(patients) != 1 or not isinstance(patients[0].get("id"), str):
        raise MalformedError("Bundle.entry", f"holds {len(patients)} Patient resources, expected one with an id")
    viewed: Json = {
        "hook": PATIENT_VIEW,
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/sandbox", "patientId": patients[0]["id"]},
        "prefetch": {
            "patient": patients[0],
            **{
                key: {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
                for key, entries in by_key.items()
            },
        },
    }
    drafted = renewal(Scene(Exchange("", "", 0), viewed, viewed, {}, client, now))
    return {**viewed, "hook": ORDER_SIGN, "context": {**viewed["context"], "draftOrders": drafted}}


def _resources(bundle: Mapping[str, Any]) -> list[Json]:
    """The resources of a Bundle. An entry that is none makes no request: what it was would be lost."""
    entries = bundle.get("entry")
    if not isinstance(entries, list) or not entries:
        raise MalformedError("Bundle.entry", "is missing or empty, expected a list of entries with resources")
    for index, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise MalformedError(f"Bundle.entry[{index}]", "holds no resource with a resourceType")
    return [entry["resource"] for entry in entries]
