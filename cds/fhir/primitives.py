"""FHIR's primitive and general-purpose types, read tolerantly: whatever cannot be read says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from dateutil.relativedelta import relativedelta

from cds.remembering import remembered
from cds.snapshot import Fault, Moment
from cds.terminology import Coding, Terminology

Json = Mapping[str, Any]

_MAX_EXPONENT = 30
_NUMBER_TEXT = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_EARLIEST_YEAR, _LATEST_YEAR = 1850, 2200
_PARTIAL_DATE = re.compile(r"\d{4}(-\d{2})?")


class UnreadableError(Exception):
    """An element that is used and cannot be read; the message says why, in words for an integrator.

    ``token`` names what it would have been, where that is known; ``over`` tells that it is past.
    """

    def __init__(self, why: str, fault: Fault = Fault.OTHER, token: str | None = None, *, over: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.fault = fault
        self.token = token
        self.over = over


def number(raw: object, name: str) -> Decimal:
    """An exact decimal; NaN, infinity and absurd exponents are unreadable."""
    if type(raw) is Decimal:
        value = raw
    elif type(raw) is int:
        value = Decimal(raw)
    elif isinstance(raw, str) and _NUMBER_TEXT.fullmatch(raw.strip()):
        value = Decimal(raw.strip())
    elif isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        raise UnreadableError(f"{name} is {shown(raw)}, expected a number")
    else:
        try:
            # A float comes from a caller that parsed JSON without decimals: its shortest text is what was written.
            value = raw if isinstance(raw, Decimal) else Decimal(repr(raw))
        except (InvalidOperation, ValueError):
            raise UnreadableError(f"{name} is not a readable number") from None
    if not value.is_finite() or (value and not -_MAX_EXPONENT <= value.adjusted() <= _MAX_EXPONENT):
        raise UnreadableError(f"{name} is not a usable number")
    return value


def whole_number(raw: object, name: str) -> int:
    """A number without a fraction."""
    value = number(raw, name)
    if value != value.to_integral_value():
        raise UnreadableError(f"{name} is {value}, expected a whole number")
    return int(value)


def moment(raw: object, name: str, zone: tzinfo) -> Moment:
    """A date or an instant, as a calendar date in the organisation's zone."""
    if not isinstance(raw, str):
        raise UnreadableError(f"{name} is {shown(raw)}, expected a date")
    found = _moment(raw.strip(), zone)
    if isinstance(found, str):
        raise UnreadableError(f"{name} {found}")
    return found


@remembered
def _moment(written: str, zone: tzinfo) -> Moment | str:
    """The moment, or what is wrong with it."""
    if _PARTIAL_DATE.fullmatch(written):
        return f"'{written}' does not name a day"
    try:
        if not _EARLIEST_YEAR <= int(written[:4]) <= _LATEST_YEAR:
            return f"{shown(written)} is not a date in a patient's life"
        if _DAY.fullmatch(written):
            return Moment(date.fromisoformat(written))
        instant = datetime.fromisoformat(written)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone)
        return Moment(instant.astimezone(zone).date(), instant.astimezone(UTC))
    except (ValueError, OverflowError):
        return f"{shown(written)} is not a date"


def last_day(raw: object, name: str, zone: tzinfo) -> date:
    """A calendar date; of a month or a year its last day."""
    partial = _PARTIAL_DATE.fullmatch(text(raw))
    if partial is None:
        return moment(raw, name, zone).day
    begins = moment(f"{partial[0]}-01" if partial[1] else f"{partial[0]}-12-01", name, zone).day
    return begins + relativedelta(day=31)


def day(raw: object, zone: tzinfo) -> date | None:
    """A calendar date; the first day of a month or year that is given without a day; None when it cannot be read."""
    return _day(raw, zone) if isinstance(raw, str) else None


@remembered
def _day(written: str, zone: tzinfo) -> date | None:
    partial = _PARTIAL_DATE.fullmatch(written.strip())
    if partial is not None:
        written = f"{partial[0]}-01" if partial[1] else f"{partial[0]}-01-01"
    found = _moment(written.strip(), zone)
    return None if isinstance(found, str) else found.day


def day_at_the_latest(raw: object, zone: tzinfo) -> date | None:
    """As ``last_day``; None when it cannot be read."""
    if not isinstance(raw, str):
        return None
    try:
        return last_day(raw, "date", zone)
    except UnreadableError:
        return None


def mapping(raw: object) -> Json:
    """An object, or an empty one where something else stands."""
    return raw if isinstance(raw, dict) else {}


def items(raw: object) -> list[Json]:
    """The objects of a list; senders also put a single object where a list belongs."""
    if raw is None:
        return []
    if isinstance(raw, list):
        return [item for item in raw if isinstance(item, dict)]
    return [raw] if isinstance(raw, dict) else []


def text(raw: object) -> str:
    """A string, or an empty one."""
    return raw.strip() if isinstance(raw, str) else ""


def codings(concept: object, terminology: Terminology) -> list[Coding]:
    """All codings of a CodeableConcept."""
    return terminology.codings(concept.get("coding")) if isinstance(concept, dict) else []


def words_of(concept: object) -> str:
    """All text of a CodeableConcept: its text and the displays of its codings."""
    if not isinstance(concept, dict):
        return ""
    texts = [text(concept.get("text")), *[text(item.get("display")) for item in items(concept.get("coding"))]]
    return "; ".join(dict.fromkeys(filter(None, texts)))


def check_concept(resource: Json, name: str) -> None:
    """Raise unless a CodeableConcept that must be there says anything at all."""
    concept = mapping(resource.get(name))
    if not words_of(concept) and not any(text(item.get("code")) for item in items(concept.get("coding"))):
        raise UnreadableError(f"{name} says nothing that can be read")


def refuse_modifiers(resource: Json, token: str | None) -> None:
    """Raise on a modifierExtension: it changes the meaning in a way that is not known."""
    if resource.get("modifierExtension"):
        raise UnreadableError("a modifierExtension changes its meaning and is not known", token=token)


def first_code(concept: object) -> str:
    """Code of the first coding that has one; for small fixed FHIR value sets such as statuses."""
    return next(
        (text(item.get("code")) for item in items(mapping(concept).get("coding")) if text(item.get("code"))), ""
    )


def contained(holder: Json, reference: str) -> Json | None:
    """The resource that a holder contains under a reference such as ``#1``."""
    return next((item for item in items(holder.get("contained")) if f"#{item.get('id')}" == reference), None)


def extensions(element: Json, url: str) -> Iterator[Json]:
    """Extensions of one URL on an element."""
    return (extension for extension in items(element.get("extension")) if extension.get("url") == url)


def reference_of(resource: Json) -> str:
    """``Type/id``; ``Type without id`` where there is none."""
    kind, identifier = text(resource.get("resourceType")) or "Resource", text(resource.get("id"))
    return f"{kind}/{identifier}" if identifier else f"{kind} without id"


def shown(raw: object) -> str:
    """A foreign value as an error message may show it: short, and of one line."""
    if raw is None:
        return "missing"
    words = " ".join(str(raw).split()) if isinstance(raw, str | int | float | Decimal) else type(raw).__name__
    limit = 40
    return f"'{words[:limit]}…'" if len(words) > limit else f"'{words}'"
