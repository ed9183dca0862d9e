"""Patient: birth date, the sex that clinical rules use, and any record of a female body beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from cds.fhir.primitives import (
    Json,
    UnreadableError,
    codings,
    day,
    extensions,
    first_code,
    items,
    last_day,
    mapping,
    reference_of,
    text,
)
from cds.snapshot import Patient
from cds.terminology import Coding, Terminology

_HL7 = "http://hl7.org/fhir"
_SEX_FOR_CLINICAL_USE = f"{_HL7}/StructureDefinition/patient-sexParameterForClinicalUse"
_RECORDED_SEX = (
    f"{_HL7}/us/core/StructureDefinition/us-core-birthsex",
    f"{_HL7}/us/core/StructureDefinition/us-core-sex",
    f"{_HL7}/us/core/StructureDefinition/us-core-individual-sex",
    f"{_HL7}/StructureDefinition/individual-recordedSexOrGender",
)
_GENDER_IDENTITY = (
    f"{_HL7}/us/core/StructureDefinition/us-core-genderIdentity",
    f"{_HL7}/StructureDefinition/individual-genderIdentity",
    f"{_HL7}/StructureDefinition/patient-genderIdentity",
)
_RACE = f"{_HL7}/us/core/StructureDefinition/us-core-race"
_CLINICAL_SEX = {"male-typical": "male", "female-typical": "female"}
_SEX_NOT_STATED = {"", "unknown"}
_OF_BARE_CODES = ("v3-administrative-gender", "snomed")
_LONGEST_LIFE = 130


def read_patient(resource: Json, terminology: Terminology, now: datetime) -> Patient:
    """Demographics; the sex for clinical use, where recorded, goes before the administrative gender."""
    in_force = (item for item in extensions(resource, _SEX_FOR_CLINICAL_USE) if not _has_ended(item, now))
    clinical = {code for extension in in_force for code in _codes_within(extension)}
    stated = clinical - _SEX_NOT_STATED
    if stated:
        # Several, or one that is neither, leave it open: then both values are computed.
        sex, source = (_CLINICAL_SEX.get(next(iter(stated))) if len(stated) == 1 else None), "sex for clinical use"
    else:
        gender = text(resource.get("gender"))
        sex, source = (gender if gender in {"male", "female"} else None), "administrative gender"
    born, born_by = _born(resource, now)
    return Patient(
        reference_of(resource),
        born,
        sex,
        source,
        _recorded_female(resource, terminology),
        resource.get("deceasedBoolean") is True or bool(text(resource.get("deceasedDateTime"))),
        born_by,
        frozenset(_races(resource, terminology)),
    )


def _races(resource: Json, terminology: Terminology) -> Iterator[str]:
    """Declared races: the categories of the extension and the details beneath them."""
    for extension in extensions(resource, _RACE):
        for part in items(extension.get("extension")):
            token = terminology.races.token(codings({"coding": [mapping(part.get("valueCoding"))]}, terminology))
            if token is not None:
                yield token


def _born(resource: Json, now: datetime) -> tuple[date | None, date | None]:
    """A whole date of somebody who can be alive, and the last day on which she was born: a year alone leaves the age open."""
    assert now.tzinfo is not None
    try:
        latest = last_day(resource.get("birthDate"), "birthDate", now.tzinfo)
    except UnreadableError:
        return None, None
    if latest.year > now.year or now.year - latest.year > _LONGEST_LIFE:
        return None, None
    if latest.isoformat() != text(resource.get("birthDate"))[: len(latest.isoformat())]:
        return None, latest
    return (latest, latest) if latest <= now.date() else (None, None)


def _codes_within(extension: Json) -> list[str]:
    """Codes of an extension and of the part that holds its value, whatever type that has."""
    parts = [extension, *(part for part in items(extension.get("extension")) if text(part.get("url")) == "value")]
    found = []
    for part in parts:
        coding, concept = mapping(part.get("valueCoding")), part.get("valueCodeableConcept")
        found += [text(coding.get("code")), first_code(concept), text(part.get("valueCode"))]
    return [code for code in found if code]


def _has_ended(extension: Json, now: datetime) -> bool:
    assert now.tzinfo is not None
    zone = now.tzinfo
    ends = (day(mapping(part.get("valuePeriod")).get("end"), zone) for part in items(extension.get("extension")))
    return any(end is not None and end < now.date() for end in ends)


def _recorded_female(resource: Json, terminology: Terminology) -> str:
    """Why the body may be female: a recorded sex, or a gender identity that says it was."""
    if "extension" not in resource:
        return ""
    if any(_says(found, "female", terminology) for url in _RECORDED_SEX for found in extensions(resource, url)):
        return "female in another record of sex"
    if any(_says(found, "trans-man", terminology) for url in _GENDER_IDENTITY for found in extensions(resource, url)):
        return "trans man"
    return ""


def _says(extension: Json, token: str, terminology: Terminology) -> bool:
    """Whether an extension, or a part of it, means the token, whatever type its value has."""
    for item in (extension, *items(extension.get("extension"))):
        concept = mapping(item.get("valueCodeableConcept"))
        said = [
            *codings(concept, terminology),
            *codings({"coding": item.get("valueCoding")}, terminology),
            # A bare code names no system: it may be of either that these extensions use.
            *(Coding(system, text(item.get("valueCode"))) for system in _OF_BARE_CODES),
        ]
        in_words = text(concept.get("text")).casefold() == token.replace("-", " ")
        if in_words or any(terminology.sexes.token([coding]) == token for coding in said):
            return True
    return False
