"""FHIR JSON to the patient snapshot: the only place that knows resource shapes (R4 first; R4B and R5 where they differ)."""

from cds.fhir.dosage import is_in_pieces
from cds.fhir.identity import Found, Medications, PatientIdentity
from cds.fhir.reading import Reading, read_drafts, read_snapshot
from cds.fhir.trials import current_trials

__all__ = [
    "Found",
    "Medications",
    "PatientIdentity",
    "Reading",
    "current_trials",
    "is_in_pieces",
    "read_drafts",
    "read_snapshot",
]
