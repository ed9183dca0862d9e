"""A whole synthetic patient record as the prefetch of an order that adds lenalidomide 10 mg."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.answers import judge
from tests.support.drafts import capsule
from tests.support.fixtures import Json

NOW = datetime(2021, 1, 15, 9, tzinfo=UTC)
TRIMMED = Path(__file__).parents[2] / "fhir_fixtures" / "synthea"
WHOLE = Path(__file__).parents[3] / "shared" / "data" / "synthea"
# Key: the kind a client searches for it.
_KINDS = {
    "observations": "Observation",
    "medications": "MedicationRequest",
    "conditions": "Condition",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
}


def record(folder: Path, name: str) -> list[Json]:
    """The entries of the record of one patient, by the family name and number."""
    (file,) = folder.glob(f"*{name}*.json")
    entries: list[Json] = json.loads(file.read_text(encoding="utf-8"))["entry"]
    return entries


def request_of(entries: list[Json]) -> Json:
    """The order-sign request of the record's patient."""
    by_kind = {key: [entry for entry in entries if _kind(entry) == kind] for key, kind in _KINDS.items()}
    return _request(entries, {key: _searchset(found) for key, found in by_kind.items()})


def request_of_everything(entries: list[Json]) -> Json:
    """The same with the whole record under one key, claims and encounters too."""
    return _request(entries, {"everything": {"resourceType": "Bundle", "type": "collection", "entry": entries}})


def answer_to(request: Json) -> Json:
    return judge(request, NOW)


def _request(entries: list[Json], prefetch: Json) -> Json:
    (patient,) = [entry["resource"] for entry in entries if _kind(entry) == "Patient"]
    return {
        "hook": "order-sign",
        "hookInstance": "5b1b1a5c-6c0e-4f5a-9d53-2f0c5f0e7a11",
        "context": {
            "userId": "Practitioner/prescriber-1",
            "patientId": patient["id"],
            "draftOrders": {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": _draft(patient["id"])}],
            },
        },
        "prefetch": {"patient": patient, **prefetch},
    }


def _draft(patient_id: str) -> Json:
    dosage: dict[str, Any] = {
        "text": "10 mg by mouth once daily",
        "timing": {"repeat": {"boundsPeriod": {"start": "2021-01-15"}, "frequency": 1, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": 10, "unit": "mg"}}],
    }
    return {
        "resourceType": "MedicationRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": capsule("10"),
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": "2021-01-15",
        "dosageInstruction": [dosage],
        "dispenseRequest": {"expectedSupplyDuration": {"value": 28, "unit": "days"}, "quantity": {"value": 28}},
    }


def _searchset(entries: list[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _kind(entry: Json) -> str:
    kind: str = entry["resource"]["resourceType"]
    return kind
