"""How much of a drug other than lenalidomide is taken, whatever the rhythm: weekly, days 1-4, twice a day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from cds.fhir.dosage import dose_of_a_line
from cds.fhir.free_text import Frequency, frequency_in_words, of_the_drug
from cds.fhir.primitives import Json, UnreadableError, items, mapping, number, text
from cds.fhir.timing import bound_days, days_in, structured_frequency, words_about
from cds.level import CYCLE_DAYS
from cds.snapshot import Drug
from cds.terminology import Terminology

_I = re.IGNORECASE
_WEEKS = Decimal(CYCLE_DAYS) / 7
_LONGEST_TEXT = 1000  # a longer one is no dosage
_FEWEST_INTERNATIONAL_UNITS = 100
_UNIT = r"(?:anti-?xa )?(?:\[iu\]|iu|u|i\.u\.|(?:international )?units?)"
_UNITS = re.compile(_UNIT, _I)
_UNITS_IN_WORDS = re.compile(rf"(?<![\d,.])(\d{{1,3}}(?:[, ]\d{{3}})+|\d{{1,9}})\s*{_UNIT}(?![a-z/])", _I)
_BY_WEIGHT = re.compile(r"\b(?:mg|iu|units?)\s*(?:/|per)\s*(?:kg|m2|m²)", _I)
_MG_PER_KG = re.compile(r"(?<![\d.,])(\d{1,2}(?:[.,]\d{1,2})?)\s*mg\s*(?:/|per)\s*kg\b", _I)
_A_WEEK = r"(?:a|per|every|each)\s+week\b"
_TIMES_A_WEEK = {
    1: re.compile(
        rf"\bonce\s+{_A_WEEK}|(?<!twice )(?<!twice-)(?<!times )(?<!two )(?<!three )\bweekly\b|\bevery (?:7 days|week)\b|\bqw\b",
        _I,
    ),
    2: re.compile(rf"\b(?:twice|(?:2|two) (?:x|times))[\s-]+(?:{_A_WEEK}|weekly\b)", _I),
    3: re.compile(rf"\b(?:three|3|thrice) ?(?:x|times)?[\s-]+(?:{_A_WEEK}|weekly\b)", _I),
}
_SPEAKS_OF_WEEKS = re.compile(r"\bweek|\bwk\b", _I)
_DAYS_OF_A_CYCLE = re.compile(
    r"\b(?:days?|d)\s*(?P<days>\d{1,2}(?:\s*(?:-|–|to|,|/|and|&|,\s*and)\s*(?:days?\s*)?\d{1,2})+)(?!\s*mg)", _I
)
_RUN = re.compile(r"(\d{1,2})\s*(?:-|–|to)\s*(?:days?\s*)?(\d{1,2})", _I)
_FOR_DAYS = re.compile(r"\b(?:for|x) ?(\d{1,2}) days?\b", _I)
_SENTENCE = re.compile(r"[.;\n]\s+|;")
_NAMES_A_DOSE = re.compile(r"\d\s*(?:mg|mcg|g|iu|units?)\b|\b(?:tab|cap|pill|syringe)", _I)
_OTHER_CYCLE = re.compile(r"\b(?:every|of an?|q)\s*(?!28\b)(\d{2})[- ]days?|\b(?!28\b)\d{1,2}[- ]days?[- ]cycle", _I)


def amount_in_28_days(lines: Sequence[Json], drug: Drug, terminology: Terminology) -> Decimal | None:
    """Milligrams, or international units of a drug dosed so, of all lines together; None where dose or rhythm is not told."""
    try:
        taken = [_on_a_day(line, drug, terminology) * _days_in_28(line) for line in lines]
    except UnreadableError:
        return None
    return sum(taken, Decimal(0)) if taken else None


def amount_on_a_day(lines: Sequence[Json], drug: Drug, terminology: Terminology) -> Decimal | None:
    """As ``amount_in_28_days``, of a day on which it is taken; None where lines follow one another."""
    try:
        taken = [_on_a_day(line, drug, terminology) for line in lines]
    except UnreadableError:
        return None
    follow = len({line.get("sequence") for line in lines} - {None}) > 1
    if follow and len(set(taken)) > 1 and any(bound_days(_repeat(line)) is not None for line in lines):
        return None
    return sum(taken, Decimal(0)) if taken else None


def dose_per_kilogram(lines: Sequence[Json]) -> Decimal | None:
    """Milligrams per kilogram of one dose, where all lines give the same."""
    try:
        doses = {dose for line in lines for dose in _by_weight(line)}
    except UnreadableError:
        return None
    return doses.pop() if len(doses) == 1 else None


def _by_weight(line: Json) -> list[Decimal]:
    quantities = [mapping(entry.get("doseQuantity")) for entry in items(line.get("doseAndRate"))]
    given = [
        number(quantity.get("value"), "doseQuantity.value")
        for quantity in quantities
        if any(text(quantity.get(name)).casefold() == "mg/kg" for name in ("code", "unit"))
    ]
    said = [Decimal(match[1].replace(",", ".")) for match in _MG_PER_KG.finditer(_words(line))]
    return [*given, *said]


def _on_a_day(line: Json, drug: Drug, terminology: Terminology) -> Decimal:
    return _dose(line, drug) * _times_a_day(line, terminology)


def _dose(line: Json, drug: Drug) -> Decimal:
    words = _words(line)
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


def _times_a_day(line: Json, terminology: Terminology) -> Decimal:
    """Doses on a day on which it is taken."""
    repeat, words = _repeat(line), _words(line)
    per_day, spoken = _rate(repeat), _daily_frequency(words)
    if per_day is not None:
        times = max(per_day, Decimal(1), Decimal(_slots(repeat)))
        if spoken is not None and spoken.per_day > 1 and times != spoken.per_day:
            raise UnreadableError("text and structure of the dosage give different frequencies")
        return times
    structured = None if "dayOfWeek" in repeat else structured_frequency(mapping(line.get("timing")), terminology)
    frequency = structured or spoken
    if frequency is not None:
        return Decimal(max(frequency.per_day, _slots(repeat)))
    if "dayOfWeek" in repeat:
        times = number(repeat.get("frequency", 1), "timing.repeat.frequency")
        # "Twice a week, on Monday and Tuesday" counts the week, not the day.
        by_week = text(repeat.get("periodUnit")) == "wk"
        return max(times / (_weekly(repeat, words) or 1) if by_week else times, Decimal(1))
    if _weekly(repeat, words) is not None or _days_named(words) is not None:
        return Decimal(1)
    raise UnreadableError("how often the dose is taken is not stated")


def _days_in_28(line: Json) -> Decimal:
    """Days of 28 on which it is taken."""
    repeat, words = _repeat(line), _words(line)
    weekly, named = _weekly(repeat, words), _days_named(words)
    rate = _rate(repeat)
    if rate is not None and rate < 1:
        return _within(repeat, rate * CYCLE_DAYS, rate)
    if weekly is not None and named is not None:
        raise UnreadableError("it is taken on single days and then weekly")
    if named is not None:
        return Decimal(named)
    if weekly is not None:
        return _within(repeat, weekly * _WEEKS, weekly / 7)
    if _SPEAKS_OF_WEEKS.search(words):
        raise UnreadableError("the text names weeks in a way that is not understood")
    spoken = _daily_frequency(words)
    every_other = spoken is not None and spoken.every_other_day
    run = _FOR_DAYS.search(words)
    days = Decimal(min(int(run[1]), CYCLE_DAYS)) if run is not None else Decimal(CYCLE_DAYS)
    return _within(repeat, days / 2 if every_other else days, Decimal(1))


def _within(repeat: Json, days: Decimal, a_day: Decimal) -> Decimal:
    """Not more days than a bound has."""
    lasts = bound_days(repeat)
    return days if lasts is None else min(days, max(Decimal(1), lasts * a_day))


def _repeat(line: Json) -> Json:
    return mapping(mapping(line.get("timing")).get("repeat"))


def _words(line: Json) -> str:
    """What is said of the dosage, without sentences about visits and blood counts."""
    words = words_about(line)
    if len(words) > _LONGEST_TEXT:
        raise UnreadableError("the text of the dosage is too long")
    return "; ".join(part for part in _SENTENCE.split(words) if _NAMES_A_DOSE.search(part) or of_the_drug(part))


def _daily_frequency(words: str) -> Frequency | None:
    """A daily frequency in words that may name days or weeks too."""
    try:
        return frequency_in_words(words)
    except UnreadableError:
        return None


def _rate(repeat: Json) -> Decimal | None:
    """Doses a day on the average, by ``frequency``, ``period`` and ``periodUnit``."""
    if "period" not in repeat or "dayOfWeek" in repeat or {"frequencyMax", "periodMax"} & repeat.keys():
        return None
    per_unit = days_in(text(repeat.get("periodUnit")))
    period = number(repeat["period"], "timing.repeat.period")
    if per_unit is None or period <= 0:
        return None
    times = number(repeat.get("frequency", max(_slots(repeat), 1)), "timing.repeat.frequency")
    return times / (period * per_unit)


def _slots(repeat: Json) -> int:
    """Times of the day that are named."""
    return max((len(named) for name in ("timeOfDay", "when") if isinstance(named := repeat.get(name), list)), default=1)


def _weekly(repeat: Json, words: str) -> Decimal | None:
    """Days a week, where a week is the rhythm."""
    weekdays = repeat.get("dayOfWeek")
    if isinstance(weekdays, list) and weekdays:
        return Decimal(len(set(map(str, weekdays))))
    said = [times for times, pattern in _TIMES_A_WEEK.items() if pattern.search(words)]
    return Decimal(max(said)) if said else None


def _days_named(words: str) -> int | None:
    """The number of days that a text names: ``days 1, 8, 15, 22`` or ``days 1-4, 9-12, 17-20``; ``for 4 days every 28 days``."""
    match = _DAYS_OF_A_CYCLE.search(words)
    if _OTHER_CYCLE.search(words):
        raise UnreadableError("the schedule in the text is not one of 28-day cycles")
    if match is None:
        return None
    named = match["days"]
    days = {day for first, last in _RUN.findall(named) for day in range(int(first), int(last) + 1)}
    return len(days | {int(day) for day in re.findall(r"\d{1,2}", named)})
