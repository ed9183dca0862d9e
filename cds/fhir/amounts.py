"""How much of a drug other than lenalidomide is taken in 28 days, whatever the rhythm: weekly, days 1-4, twice a day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from cds.fhir.dosage import dose_of_a_line
from cds.fhir.free_text import Frequency, frequency_in_words
from cds.fhir.primitives import Json, UnreadableError, items, mapping, number, text
from cds.fhir.timing import bound_days, days_in, structured_frequency, words_about
from cds.level import CYCLE_DAYS
from cds.snapshot import Drug
from cds.terminology import Terminology

_WEEKS = Decimal(CYCLE_DAYS) / 7
_UNIT = r"(?:anti-?xa )?(?:\[iu\]|iu|u|i\.u\.|(?:international )?units?)"
_UNITS = re.compile(_UNIT, re.IGNORECASE)
_UNITS_IN_WORDS = re.compile(rf"(\d{{1,3}}(?:[, ]\d{{3}})+|\d+)\s*{_UNIT}(?![a-z/])", re.IGNORECASE)
_FEWEST_INTERNATIONAL_UNITS = 100
_BY_WEIGHT = re.compile(r"\b(?:mg|iu|units?)\s*(?:/|per)\s*(?:kg|m2|m²)", re.IGNORECASE)
_ONCE_A_WEEK = re.compile(
    r"\b(?:once (?:a|per) week|(?:once )?weekly|every week|q ?week|qw|every 7 days)\b", re.IGNORECASE
)
_TWICE_A_WEEK = re.compile(
    r"\b(?:twice (?:a|per) week|twice weekly|(?:two|2) (?:x|times) (?:a week|weekly))\b", re.IGNORECASE
)
_DAYS_OF_A_CYCLE = re.compile(
    r"\b(?:on )?(?:days?|d)\s*(?P<days>\d{1,2}(?:\s*(?:-|–|to|,|/|and|&)\s*(?:days?\s*)?\d{1,2})+)(?!\s*mg)",
    re.IGNORECASE,
)
_RUN = re.compile(r"(\d{1,2})\s*(?:-|–|to)\s*(?:days?\s*)?(\d{1,2})", re.IGNORECASE)
_OTHER_CYCLE = re.compile(
    r"\b(?:every|of an?|q)\s*(?!28\b)(\d{2})[- ]days?|\b(?!28\b)\d{1,2}[- ]days?[- ]cycle", re.IGNORECASE
)


def amount_in_28_days(lines: Sequence[Json], drug: Drug, terminology: Terminology) -> Decimal | None:
    """Milligrams, or international units of a drug dosed so, of all lines together; None where dose or rhythm is not told."""
    try:
        amounts = [_dose(line, drug) * _times_in_28_days(line, terminology) for line in lines]
    except UnreadableError:
        return None
    return sum(amounts, Decimal(0)) if amounts else None


def _dose(line: Json, drug: Drug) -> Decimal:
    words = words_about(line)
    if _BY_WEIGHT.search(words):
        raise UnreadableError("the dose is by weight")
    if drug.per_international_unit is not None:
        units = _international_units(line, words)
        if units is not None:
            return units * drug.per_international_unit
    return dose_of_a_line(line, drug.strength_mg)


def _international_units(line: Json, words: str) -> Decimal | None:
    """The one dose in international units that a line gives, by structure or else in words."""
    quantities = [mapping(entry.get("doseQuantity")) for entry in items(line.get("doseAndRate"))]
    given = {
        number(quantity.get("value"), "doseQuantity.value")
        for quantity in quantities
        if any(_UNITS.fullmatch(text(quantity.get(name))) for name in ("code", "unit"))
    }
    if not any(quantities):
        given = {Decimal(match[1].replace(",", "").replace(" ", "")) for match in _UNITS_IN_WORDS.finditer(words)}
    # One "unit" is a syringe, not an international unit.
    return given.pop() if len(given) == 1 and min(given) >= _FEWEST_INTERNATIONAL_UNITS else None


def _times_in_28_days(line: Json, terminology: Terminology) -> Decimal:
    repeat, words = mapping(mapping(line.get("timing")).get("repeat")), words_about(line)
    days = _days_named(words)
    if days is not None:
        return Decimal(days)
    weekdays = repeat.get("dayOfWeek")
    if isinstance(weekdays, list) and weekdays:
        return len(set(map(str, weekdays))) * _WEEKS
    if _TWICE_A_WEEK.search(words):
        return 2 * _WEEKS
    if _ONCE_A_WEEK.search(words):
        return _WEEKS
    rate = _rate(repeat, line, terminology, words)
    lasts = bound_days(repeat)
    return rate * (CYCLE_DAYS if lasts is None else min(lasts, CYCLE_DAYS))


def _rate(repeat: Json, line: Json, terminology: Terminology, words: str) -> Decimal:
    """Doses a day on the average."""
    if "period" in repeat and not {"frequencyMax", "periodMax"} & repeat.keys():
        per_unit = days_in(text(repeat.get("periodUnit")))
        period = number(repeat["period"], "timing.repeat.period")
        if per_unit is not None and period > 0:
            times = number(repeat.get("frequency", max(len(items(repeat.get("when"))), 1)), "timing.repeat.frequency")
            return times / (period * per_unit)
    frequency = structured_frequency(mapping(line.get("timing")), terminology) or frequency_in_words(words)
    if frequency is None:
        raise UnreadableError("how often the dose is taken is not stated")
    return _daily(frequency)


def _daily(frequency: Frequency) -> Decimal:
    return Decimal("0.5") if frequency.every_other_day else Decimal(frequency.per_day)


def _days_named(words: str) -> int | None:
    """The number of days that a text names: ``days 1, 8, 15, 22`` or ``days 1-4, 9-12, 17-20``."""
    match = _DAYS_OF_A_CYCLE.search(words)
    if match is None:
        return None
    if _OTHER_CYCLE.search(words):
        raise UnreadableError("the schedule in the text is not one of 28-day cycles")
    named = match["days"]
    days = {day for first, last in _RUN.findall(named) for day in range(int(first), int(last) + 1)}
    return len(days | {int(day) for day in re.findall(r"\d{1,2}", named)})
