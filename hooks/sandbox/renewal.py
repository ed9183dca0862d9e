"""Writing a lenalidomide order: over again with another dose, or anew where a record has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cds.fhir import Found, read_drafts
from cds.findings import Correction
from cds.level import CYCLE_DAYS, Level, plain
from cds.snapshot import LENALIDOMIDE, MedicationOrder
from cds.terminology import load_terminology
from hooks.corrections import corrected_order
from hooks.problems import UnsuitableError
from hooks.sandbox.scene import Scene
from hooks.wire import Json


def renewal(scene: Scene) -> Json:
    """Draft orders that repeat the last dose for one cycle; where none can be told, the protocol's start dose."""
    case = scene.case
    level = case.course.current_level or case.protocol.dosing.start_level.value
    terminology = scene.client.terminology or load_terminology()
    product = terminology.product_like(LENALIDOMIDE, None, level.dose_mg)
    if product is None:
        raise UnsuitableError("strength", f"there is no capsule of {plain(level.dose_mg)} mg")
    system, code, display = product
    blank: Json = {
        "resourceType": "MedicationRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": terminology.system_uris[system], "code": code, "display": display}],
            "text": display,
        },
        "subject": {"reference": f"Patient/{scene.answer.request.patient_id}"},
        "authoredOn": scene.now.isoformat(timespec="seconds"),
        "dispenseRequest": {"numberOfRepeatsAllowed": 0},
    }
    corrections = (Correction("days_supply", CYCLE_DAYS), Correction("start", case.course.draft_start))
    order = rewritten(blank, level, corrections, scene)
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}


def rewritten(draft: Mapping[str, Any], level: Level, corrections: Iterable[Correction], scene: Scene) -> Json:
    """A draft with another level and other particulars, written as a suggestion would write it."""
    order = order_of(draft, scene)
    if order is None:
        raise UnsuitableError("place", "is no draft of lenalidomide")
    changed = corrected_order(draft, order, level, corrections, scene.client.terminology or load_terminology())
    if changed is None:
        raise UnsuitableError("strength", f"there is no capsule of {plain(level.dose_mg)} mg")
    return changed


def order_of(draft: Mapping[str, Any], scene: Scene) -> MedicationOrder | None:
    """A draft as it is read, where it is one of lenalidomide."""
    read, _ = read_drafts((Found(draft, ""),), None, scene.resources.reading)
    return next((order for order in read.orders if order.drug.token == LENALIDOMIDE), None)
