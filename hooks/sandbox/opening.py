"""What is dropped on the page: a CDS Hooks request as it is, or a FHIR Bundle, of which a request is made."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from hooks.clients import Client
from hooks.problems import MalformedError, Problem
from hooks.sandbox.renewal import renewal
from hooks.sandbox.scene import Exchange, Scene
from hooks.wire import ORDER_SIGN, PATIENT_VIEW, Json, decode, encode_for_reading


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


def _request_of(bundle: Json, client: Client, now: datetime) -> Json:
    """The signing of a renewal for the Bundle's one patient; the Bundle is the prefetch, with all that it says of itself."""
    viewed: Json = {
        "hook": PATIENT_VIEW,
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/sandbox", "patientId": _patient_of(bundle)},
        "prefetch": {"record": bundle},
    }
    drafted = renewal(Scene(Exchange("", "", 0), viewed, viewed, {}, client, now))
    return {**viewed, "hook": ORDER_SIGN, "context": {**viewed["context"], "draftOrders": drafted}}


def _patient_of(bundle: Json) -> str:
    entries = bundle.get("entry")
    if not isinstance(entries, list) or not entries:
        raise MalformedError("Bundle.entry", "is missing or empty, expected a list of entries with resources")
    for index, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise MalformedError(f"Bundle.entry[{index}]", "holds no resource with a resourceType")
    patients = [entry["resource"].get("id") for entry in entries if entry["resource"]["resourceType"] == "Patient"]
    if len(patients) != 1 or not isinstance(patients[0], str):
        raise MalformedError("Bundle.entry", f"holds {len(patients)} Patient resources, expected one with an id")
    return patients[0]
