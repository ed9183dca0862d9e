"""Registry identifiers (NCT numbers) of the trials a patient is in now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from cds.fhir.identity import Found, PatientIdentity
from cds.fhir.primitives import Json, UnreadableError, mapping, text

_REGISTRY_NUMBER = re.compile(r"NCT\d{8}")
_CURRENT = {
    "ResearchSubject": {"eligible", "follow-up", "on-study", "on-study-intervention", "on-study-observation", "active"},
    "CarePlan": {"active"},
}


def current_trials(found: Sequence[Found], patient: PatientIdentity) -> frozenset[str]:
    """From active ResearchSubjects (with their ResearchStudy, where it was sent) and active CarePlans of the patient."""
    subjects = [item.resource for item in found if text(item.resource.get("resourceType")) in _CURRENT]
    enrolled = [resource for resource in subjects if _is_current(resource, patient)]
    if not enrolled:
        return frozenset()
    studies = {
        f"ResearchStudy/{item.resource.get('id')}": item.resource
        for item in found
        if item.resource.get("resourceType") == "ResearchStudy"
    }
    numbers: set[str] = set()
    for subject in enrolled:
        study = text(mapping(subject.get("study")).get("reference"))
        for resource in (subject, studies.get(study, {})):
            numbers.update(number for words in _strings(resource) for number in _REGISTRY_NUMBER.findall(words))
    return frozenset(numbers)


def _is_current(resource: Json, patient: PatientIdentity) -> bool:
    if text(resource.get("status")) not in _CURRENT[text(resource.get("resourceType"))]:
        return False
    try:
        patient.check(resource.get("individual") or resource.get("subject"), "subject")
    except UnreadableError:
        return False
    return True


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
