"""The words by which the patients of the fixtures and of the tests could be known, as far as they cannot be mistaken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import fhir, request_builder

_FIXTURES = Path(__file__).parents[2] / "fhir_fixtures"
_NAMES_PATIENTS = {"subject", "patient", "beneficiary"}
# A shorter id, such as "1", would be found in any number; a shorter name in any word.
_LEAST = {"id": 6, "name": 4}


@cache
def unmistakable_words() -> frozenset[str]:
    """Ids, record numbers, names, dates of birth, telephone numbers and streets: ids from 6 characters on, names from 4."""
    found = {("id", request_builder.PATIENT_ID), ("id", fhir.PATIENT_ID)}
    for file in sorted(_FIXTURES.rglob("*.json")):
        for part in _objects(json.loads(file.read_bytes())):
            found |= set(_told_by(part))
    return frozenset(word for kind, word in found if len(word) >= _LEAST[kind])


def words_of_patients_in(text: str) -> set[str]:
    """Those that stand in a text as words, as they are written."""
    found = {word for word in unmistakable_words() if word in text}
    return {word for word in found if re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", text)}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _told_by(part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What an object of a request tells of a patient, each with its kind."""
    if isinstance(part.get("patientId"), str):
        yield "id", part["patientId"]
    for element in _NAMES_PATIENTS & part.keys():
        if isinstance(part[element], dict):
            yield "id", str(part[element].get("reference", "")).rpartition("/")[2].removeprefix("urn:uuid:")
            yield "name", str(part[element].get("display", ""))
    if part.get("resourceType") == "Patient":
        yield "id", str(part.get("id", ""))
        yield "id", str(part.get("birthDate", ""))
        for name in part.get("name", []):
            for word in (name.get("text", ""), name.get("family", ""), *name.get("given", [])):
                yield "name", word
        for listed in (*part.get("identifier", []), *part.get("telecom", [])):
            yield "id", str(listed.get("value", ""))
        for address in part.get("address", []):
            yield from (("id", line) for line in address.get("line", []))
