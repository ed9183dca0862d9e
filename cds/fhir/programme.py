"""Evidence that a patient or an order is in the pregnancy-prevention programme: shown by the record, never inferred."""

from __future__ import annotations

from datetime import date, tzinfo

from cds.fhir.primitives import Json, day, items, mapping, text
from cds.terminology import ProgrammePlaces

_ENDED = "old"


def shows_programme(resource: Json, places: ProgrammePlaces, today: date, zone: tzinfo) -> bool:
    """Whether a Patient, a Flag or an order shows it, in the places that count."""
    return (
        any(_is_identified(identifier, places, today, zone) for identifier in items(resource.get("identifier")))
        or any(_is_extended(holder, places) for holder in (resource, mapping(resource.get("dispenseRequest"))))
        or _is_flag(resource, places, today, zone)
    )


def _is_identified(identifier: Json, places: ProgrammePlaces, today: date, zone: tzinfo) -> bool:
    return (
        text(identifier.get("system")) in places.identifiers
        and bool(text(identifier.get("value")))
        and text(identifier.get("use")) != _ENDED
        and _in_force(identifier, today, zone)
    )


def _is_extended(holder: Json, places: ProgrammePlaces) -> bool:
    return any(
        text(extension.get("url")) in places.extensions
        and any(_says_something(extension[key]) for key in extension if key != "url")
        for extension in items(holder.get("extension"))
    )


def _is_flag(resource: Json, places: ProgrammePlaces, today: date, zone: tzinfo) -> bool:
    if resource.get("resourceType") != "Flag" or text(resource.get("status")) != "active":
        return False
    codings = items(mapping(resource.get("code")).get("coding"))
    named = {f"{text(coding.get('system'))}|{text(coding.get('code'))}" for coding in codings}
    return bool(named & places.flags) and _in_force(resource, today, zone)


def _in_force(element: Json, today: date, zone: tzinfo) -> bool:
    ended = day(mapping(element.get("period")).get("end"), zone)
    return ended is None or ended >= today


def _says_something(value: object) -> bool:
    return value not in (None, "", False, {}, [])
