"""The value of an Observation: a measurement in the canonical unit, or a coded answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, tzinfo
from decimal import Decimal
from typing import NamedTuple

from cds.fhir.primitives import (
    Json,
    UnreadableError,
    codings,
    first_code,
    items,
    last_day,
    mapping,
    number,
    shown,
    text,
    words_of,
)
from cds.level import plain
from cds.protocol_areas import CONTRACEPTIVE_METHODS
from cds.snapshot import Fault, Measurement
from cds.terminology import ObservationKind, Terminology
from cds.units import UnitTable

_INTERPRETATIONS = ("positive", "negative", "indeterminate")
_CONTRADICTORY, _BREASTFEEDING = "indeterminate", "breastfeeding"
_MEANING = {
    "pregnant": "positive",
    "pregnancy-possible": "indeterminate",
    "not-pregnant": "negative",
    _BREASTFEEDING: "positive",
    "not-breastfeeding": "negative",
}
_PERMIT = CONTRACEPTIVE_METHODS | {"after-menopause"}
# What they mean where a question is asked. They are no result of a test, which may just have been done or not.
_YES_OR_NO = {"yes": "positive", "no": "negative"}
# Nothing was measured, so nothing can be hidden.
_NOT_DONE = {"not-performed", "not-applicable", "not-asked", "asked-declined"}
_COMPARATORS = {"<", "<=", ">=", ">"}
# A comma before three digits may be a thousands separator: such a text is not read.
_NUMBER_AND_UNIT = re.compile(
    r"\s*([<>]=?)?\s*([+-]?\d{1,12}(?:\.\d{1,12}|,\d{1,2}(?!\d))?)(?![.,]?\d)\s*(\D.*)?", re.DOTALL
)


class Value(NamedTuple):
    """What was measured: a number in ``unit``, the token of an answer, or a date that was ``told``."""

    measurement: Measurement | None
    answer: str | None
    unit: str
    lower_limit: Decimal | None = None
    upper_limit: Decimal | None = None
    told: date | None = None

    @property
    def denies(self) -> bool:
        """Whether it is an answer that says no."""
        return self.answer is not None and _meaning(self.answer) == "negative"


def read_value(element: Json, kind: ObservationKind, terminology: Terminology, zone: tzinfo) -> Value:
    """Value of an Observation or of one component."""
    if "dataAbsentReason" in element and not any(key.startswith("value") for key in element):
        reason = mapping(element["dataAbsentReason"])
        fault = Fault.STATUS if first_code(reason) in _NOT_DONE else Fault.ABSENT
        raise UnreadableError(f"{kind.name} has no value: {words_of(reason) or 'reason not given'}", fault)
    if kind.dated:
        raw = element.get("valueDateTime") or element.get("valueDate") or element.get("valueString")
        return Value(None, None, "", told=last_day(raw, kind.name, zone))
    interpreted = None
    if kind.may_be_answered:
        answer, interpreted = _answer(element, kind, terminology), _interpretation(element, terminology)
        if answer is not None:
            # A laboratory that contradicts itself has given no answer.
            agree = interpreted in (None, _meaning(answer))
            return Value(None, answer if agree else _CONTRADICTORY, "")
    if kind.units is None:
        value = _without_units(element, kind)
        return value._replace(answer=interpreted) if interpreted else value
    quantity = mapping(element["valueQuantity"]) if "valueQuantity" in element else _number_elsewhere(element, kind)
    measurement, convert = _measure(quantity, kind, kind.units, terminology)
    if not kind.ranged or "referenceRange" not in element:
        return Value(measurement, interpreted, kind.units.canonical)
    lower, upper = (_limit_of_normal(element, end, kind.units, convert) for end in ("low", "high"))
    return Value(measurement, interpreted, kind.units.canonical, lower, upper)


def _interpretation(element: Json, terminology: Terminology) -> str | None:
    """What the laboratory itself says of the value, where that is one of the answers."""
    found = {
        answer
        for concept in items(element.get("interpretation"))
        for answer in terminology.answers(codings(concept, terminology), None)
        if answer in _INTERPRETATIONS
    }
    return _CONTRADICTORY if len(found) > 1 else next(iter(found), None)


def _answer(element: Json, kind: ObservationKind, terminology: Terminology) -> str | None:
    if isinstance(element.get("valueBoolean"), bool):
        return "positive" if element["valueBoolean"] else "negative"
    concept = mapping(element.get("valueCodeableConcept"))
    words = text(concept.get("text")) or words_of(concept) if concept else text(element.get("valueString"))
    found = terminology.answers(codings(concept, terminology), words)
    return _agreed([_YES_OR_NO.get(token, token) for token in found if kind.asked or token not in _YES_OR_NO])


def _agreed(found: Sequence[str]) -> str | None:
    """The answer of several codes and words; where they contradict each other, one that permits nothing."""
    meanings = {_meaning(token) for token in found}
    if len(meanings) > 1 and meanings <= set(_INTERPRETATIONS):
        return _BREASTFEEDING if _BREASTFEEDING in found else _CONTRADICTORY
    return next((token for token in found if token not in _PERMIT), next(iter(found), None))


def _meaning(answer: str) -> str:
    """Answers to different questions say the same."""
    return _MEANING.get(answer, answer)


def _without_units(element: Json, kind: ObservationKind) -> Value:
    """A kind for which no unit is listed, as no rule compares it: its number as it came, or a date."""
    if "valueQuantity" in element:
        quantity = mapping(element["valueQuantity"])
        comparator = quantity.get("comparator")
        stated = comparator if isinstance(comparator, str) and comparator in _COMPARATORS else None
        return Value(Measurement(number(quantity.get("value"), kind.name), stated), None, text(quantity.get("unit")))
    value_date = text(element.get("valueDateTime"))
    if value_date:
        return Value(None, value_date, "")
    raw = words_of(element.get("valueCodeableConcept")) or text(element.get("valueString"))
    raise UnreadableError(f"{kind.name} {shown(raw or None)} is not an answer that is known")


def _number_elsewhere(element: Json, kind: ObservationKind) -> Json:
    """A number that came as an integer or in words, as a Quantity."""
    if "valueInteger" in element:
        return {"value": element["valueInteger"]}
    words = text(element.get("valueString")) or words_of(element.get("valueCodeableConcept"))
    match = _NUMBER_AND_UNIT.fullmatch(words) if words else None
    if match is None:
        raise UnreadableError(f"{kind.name} {shown(words or None)} is not a number")
    return {"comparator": match[1], "value": Decimal(match[2].replace(",", ".")), "unit": (match[3] or "").strip()}


def _measure(
    quantity: Json, kind: ObservationKind, units: UnitTable, terminology: Terminology
) -> tuple[Measurement, Callable[[Decimal], Decimal]]:
    value = number(quantity.get("value"), f"{kind.name} value")
    comparator = quantity.get("comparator")
    if comparator is not None and not (isinstance(comparator, str) and comparator in _COMPARATORS):
        raise UnreadableError(f"{kind.name} comparator {shown(comparator)} is not known")
    convert = _converter(quantity, kind, units, terminology, value)
    converted = convert(value)
    if not kind.is_plausible(converted):
        limits = f"{_limit(kind.at_least)} to {_limit(kind.at_most)} {units.canonical}"
        unit = text(quantity.get("unit")) or text(quantity.get("code"))
        hint = (
            " (was umol/L meant?)" if kind.token == "creatinine" and kind.at_most and converted > kind.at_most else ""
        )
        raise UnreadableError(
            f"{kind.name} {plain(value)} {unit} is implausible, expected {limits}{hint}", Fault.IMPLAUSIBLE
        )
    return Measurement(converted, comparator), convert


def _converter(
    quantity: Json, kind: ObservationKind, units: UnitTable, terminology: Terminology, value: Decimal
) -> Callable[[Decimal], Decimal]:
    """The conversion by code (UCUM) and unit; where both are known they must agree."""
    code, printed = text(quantity.get("code")), text(quantity.get("unit"))
    if (
        code
        and printed
        and code != printed
        and not _says_a_unit(code, text(quantity.get("system")), units, terminology)
    ):
        code = ""
    stated = code or printed
    if not stated:
        if units.unitless:
            return lambda number_: number_
        raise UnreadableError(f"{kind.name} {plain(value)} has no unit", Fault.UNIT)
    convert = units.converter(stated)
    if convert is None:
        raise UnreadableError(f"unit {shown(stated)} is not known for {kind.name} {plain(value)}", Fault.UNIT)
    if printed and printed != stated and _disagrees(printed, convert, units, terminology):
        raise UnreadableError(
            f"{kind.name} {plain(value)}: unit {shown(printed)} and code {shown(code)} disagree", Fault.UNIT
        )
    return convert


def _says_a_unit(code: str, system: str, units: UnitTable, terminology: Terminology) -> bool:
    """Whether a code counts beside a printed unit: one of another system, or one of none that is not listed, does not."""
    if "unitsofmeasure" in system or terminology.system_of(system) == "ucum":
        return True
    return not system and units.converter(code) is not None


def _disagrees(printed: str, convert: Callable[[Decimal], Decimal], units: UnitTable, terminology: Terminology) -> bool:
    """Whether a printed unit is known, and is another one than the code's."""
    other = units.converter(printed)
    if other is None:
        return terminology.unit_is_of_another_quantity(printed, units)
    return other is not convert and other(Decimal(1)) != convert(Decimal(1))


def _limit_of_normal(
    element: Json, end: str, units: UnitTable, convert: Callable[[Decimal], Decimal]
) -> Decimal | None:
    """A limit of normal as printed with this result; never assumed."""
    for reference_range in items(element.get("referenceRange")):
        limit = mapping(reference_range.get(end))
        if "value" not in limit:
            continue
        unit = text(limit.get("code")) or text(limit.get("unit"))
        own = units.converter(unit) if unit else convert
        try:
            return None if own is None else own(number(limit["value"], f"referenceRange.{end}"))
        except UnreadableError:
            return None
    return None


def _limit(limit: Decimal | None) -> str:
    return "any" if limit is None else plain(limit)
