"""Draft orders written by hand, the request that carries them, and what is suggested for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support import codes
from tests.support.answers import as_json, judge, updates
from tests.support.fhir import NOW, UCUM, changed, order, request

Json = dict[str, Any]

MG = {"unit": "mg", "system": UCUM, "code": "mg"}
CAPSULE = {"unit": "capsule"}


def capsule(strength_mg: str | None) -> Json:
    """A capsule of a strength, or the ingredient alone."""
    return codes.drug("lenalidomide", None if strength_mg is None else Decimal(strength_mg))


def line(value: float, unit: Json = MG, *, last_day: str | None = None, **changes: Any) -> Json:
    """Once daily from 15 May; without an end it goes on."""
    bounds = {"start": "2024-05-15"} | ({} if last_day is None else {"end": last_day})
    base = {
        "text": f"{value:g} {unit.get('unit', 'pill')} by mouth once daily",
        "timing": {"repeat": {"boundsPeriod": bounds, "frequency": 1, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": value, **unit}}],
    }
    return changed(base, changes)


def supply(days: int | None = 28, quantity: float | None = None, refills: int = 0, **changes: Any) -> Json:
    """What is to be dispensed."""
    duration = None if days is None else {"value": days, "unit": "days", "system": UCUM, "code": "d"}
    amount = None if quantity is None else {"value": quantity, **CAPSULE}
    base = {"numberOfRepeatsAllowed": refills, "expectedSupplyDuration": duration, "quantity": amount}
    return changed({key: value for key, value in base.items() if value is not None}, changes)


def draft(*lines: Json, strength: str | None = "15", number: int = 1, **changes: Any) -> Json:
    """15 mg daily as one capsule a day for 28 days, unless said otherwise."""
    base = {
        "id": f"draft-{number}",
        "status": "draft",
        "authoredOn": "2024-05-15",
        "medicationCodeableConcept": capsule(strength),
        "dispenseRequest": supply(28, 28),
    }
    return order(*(lines or [line(15)]), **{**base, **changes})


def asked(*drafts: Json, **case: Any) -> Json:
    """The order-sign request of a patient in whom all is in order, with these entries as draft orders."""
    hook_request = {**as_json(request(**case)), "extension": {"org.lenalidomide-maintenance.now": NOW.isoformat()}}
    hook_request["context"]["draftOrders"]["entry"] = [{"resource": one} for one in drafts]
    return hook_request


def suggested(hook_request: Json, protocol: str | None = None) -> Json:
    """The only suggestion that changes a draft."""
    (suggestion,) = updates(judge(hook_request, NOW, protocol))
    return suggestion


def corrected(hook_request: Json, protocol: str | None = None) -> Json:
    """The whole corrected order."""
    resource: Json = suggested(hook_request, protocol)["actions"][0]["resource"]
    return resource
