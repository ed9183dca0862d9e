"""How often and on which days a dose is taken: structured timing and, as a last resort, free text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, tzinfo
from decimal import Decimal
from typing import NamedTuple

from cds.fhir.free_text import Frequency, frequency_in_words, schedule_in_words
from cds.fhir.primitives import Json, UnreadableError, codings, day, items, mapping, number, shown, text, words_of
from cds.level import CYCLE_DAYS, Schedule
from cds.terminology import Terminology

_DAYS_IN = {"s": Decimal(1) / 86400, "min": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7)}
_UNIT_WORDS = {
    "day": "d",
    "days": "d",
    "week": "wk",
    "weeks": "wk",
    "hour": "h",
    "hours": "h",
    "month": "mo",
    "months": "mo",
}
_DAYS_IN_MONTH = Decimal(30)
_WEEK = 7
_BOUNDS = {"boundsDuration", "boundsRange", "count"}
_RANGES = {"frequencyMax", "periodMax"}
_HALF, _NEARLY = Decimal("0.5"), Decimal("0.001")
_LONGEST_DURATION = 3660  # ten years: a longer one is an error of entry
_TIMES_OF_THE_DAY = {"AM", "PM", "BED"}
_THREE_WEEKS = Schedule.THREE_WEEKS.dosing_days


class TimingRead(NamedTuple):
    """What a timing says; ``schedule`` is None when it is not known, and then ``problem`` says why if anything does."""

    frequency: Frequency | None
    schedule: Schedule | None
    problem: str = ""
    start: date | None = None
    end: date | None = None
    bounded: bool = False


def read_timing(timing: Json, words: str, terminology: Terminology, zone: tzinfo, *, ignore_bounds: bool) -> TimingRead:
    """Timing of one Dosage. Structure and the dosage's words must agree, or one of them be silent.

    ``ignore_bounds`` is for orders that were stopped: their bound's end is the stop, not the schedule.
    """
    repeat = mapping(timing.get("repeat"))
    start, end, bound_days = _bounds(repeat, zone)
    bounded = end is not None or not _BOUNDS.isdisjoint(repeat)
    frequency = _agreed(structured_frequency(timing, terminology), frequency_in_words(words))
    if bound_days is None and "count" in repeat and "countMax" not in repeat and frequency is not None:
        bound_days = int(number(repeat["count"], "timing.repeat.count") / frequency.per_day)
    try:
        if ignore_bounds and not (frequency and frequency.every_other_day):
            return TimingRead(frequency, schedule_in_words(words), start=start, end=end, bounded=bounded)
        return TimingRead(
            frequency, _schedule(repeat, bound_days, frequency, words), start=start, end=end, bounded=bounded
        )
    except UnreadableError as error:
        return TimingRead(frequency, None, error.why, start, end, bounded)


def structured_frequency(timing: Json, terminology: Terminology) -> Frequency | None:
    """The frequency of a Timing by its structure and its code."""
    return _agreed(_frequency(mapping(timing.get("repeat"))), _coded_frequency(timing, terminology))


def bound_days(repeat: Json) -> int | None:
    """Days for which a timing is bounded, None where it is not; ``count`` is not looked at."""
    return _bounds(repeat, UTC)[2]


def days_in(unit: str) -> Decimal | None:
    """How many days one unit of time is; None where it is not known. A month is as in ``duration_days``."""
    unit = _UNIT_WORDS.get(unit.casefold(), unit)
    return _DAYS_IN_MONTH if unit == "mo" else _DAYS_IN.get(unit)


def words_about(dosage: Json) -> str:
    """All free text of a dosage that may speak of dose, frequency or schedule."""
    if not isinstance(dosage.get("text", ""), str):
        raise UnreadableError("the text of the dosage is no text")
    texts = [text(dosage.get("text")), text(dosage.get("patientInstruction"))]
    texts += [words_of(concept) for concept in items(dosage.get("additionalInstruction"))]
    texts.append(words_of(mapping(dosage.get("timing")).get("code")))
    return "; ".join(filter(None, texts))


def _agreed(one: Frequency | None, other: Frequency | None) -> Frequency | None:
    """Two statements of the frequency, which must not contradict each other."""
    if one is not None and other is not None and not one.agrees_with(other):
        raise UnreadableError("text, code and structure of the dosage give different frequencies")
    if one is not None and other is not None:
        return one if one.slots else other
    return one or other


def _bounds(repeat: Json, zone: tzinfo) -> tuple[date | None, date | None, int | None]:
    """Start, end and length in days of a bound."""
    if "boundsPeriod" in repeat:
        period = mapping(repeat.get("boundsPeriod"))
        start, end = day(period.get("start"), zone), day(period.get("end"), zone)
        return start, end, None if start is None or end is None else (end - start).days + 1
    if "boundsDuration" in repeat:
        return None, None, duration_days(repeat.get("boundsDuration"))
    if "boundsRange" in repeat:
        bounds = mapping(repeat.get("boundsRange"))
        low, high = duration_days(bounds.get("low")), duration_days(bounds.get("high"))
        if low != high:
            raise UnreadableError("the schedule is bounded by a range of days")
        return None, None, high
    return None, None, None


def duration_days(raw: object) -> int | None:
    """A Duration in whole days; None when its unit is not known."""
    duration = mapping(raw)
    if not duration:
        return None
    unit = text(duration.get("code")) or text(duration.get("unit"))
    per_unit = days_in(unit)
    if per_unit is None:
        return None
    days = number(duration.get("value"), "duration") * per_unit
    if not 0 < days < _LONGEST_DURATION:
        raise UnreadableError(f"a duration of {shown(duration.get('value'))} {unit} is not usable")
    return int(days)


def _frequency(repeat: Json) -> Frequency | None:
    slots = tuple([str(slot) for slot in (*_listed(repeat.get("timeOfDay")), *_listed(repeat.get("when")))])
    weekdays = {str(weekday) for weekday in _listed(repeat.get("dayOfWeek"))}
    if weekdays and len(weekdays) < _WEEK:
        raise UnreadableError("the schedule names single days of the week")
    if "period" not in repeat:
        count = int(number(repeat["frequency"], "timing.repeat.frequency")) if "frequency" in repeat else len(slots)
        return Frequency(max(count, 1), slots=slots) if slots or weekdays else None
    times = number(repeat.get("frequency", max(len(slots), 1)), "timing.repeat.frequency")
    period = number(repeat["period"], "timing.repeat.period")
    if not _RANGES.isdisjoint(repeat):
        for name, value in (("frequencyMax", times), ("periodMax", period)):
            if name in repeat and number(repeat[name], f"timing.repeat.{name}") != value:
                raise UnreadableError(f"the frequency is a range (timing.repeat.{name})")
    if "duration" in repeat and _is_once_per_cycle(repeat, times, period):
        return Frequency(1, slots=slots)
    unit = text(repeat.get("periodUnit"))
    unit = _UNIT_WORDS.get(unit.casefold(), unit)
    if unit not in _DAYS_IN or not period:
        raise UnreadableError(f"timing.repeat.periodUnit '{unit}' is not usable")
    return _per_day(times / (period * _DAYS_IN[unit]), slots)


def _per_day(rate: Decimal, slots: tuple[str, ...]) -> Frequency:
    if abs(rate - _HALF) < _NEARLY:
        return Frequency(1, every_other_day=True, slots=slots)
    whole = rate.to_integral_value()
    if whole < 1 or abs(rate - whole) > _NEARLY:
        raise UnreadableError("the frequency is neither daily nor every other day")
    return Frequency(int(whole), slots=slots)


def _is_once_per_cycle(repeat: Json, times: Decimal, period: Decimal) -> bool:
    """The older HL7 pattern for days 1-21: a duration of 21 days, once per 28 days."""
    lasts = duration_days({"value": repeat["duration"], "unit": repeat.get("durationUnit")})
    return lasts == _THREE_WEEKS and times == 1 and period == CYCLE_DAYS and text(repeat.get("periodUnit")) == "d"


def _coded_frequency(timing: Json, terminology: Terminology) -> Frequency | None:
    for coding in codings(timing.get("code"), terminology):
        entry = terminology.timing_codes.get(coding.code) if coding.system == "v3-gts-abbreviation" else None
        if entry is not None:
            slots = {"when": [coding.code]} if coding.code in _TIMES_OF_THE_DAY else {}
            timed = {"frequency": entry["frequency"], "period": entry["period"], "periodUnit": entry["period_unit"]}
            return _frequency({**timed, **slots})
    return None


def _schedule(repeat: Json, bound_days: int | None, frequency: Frequency | None, words: str) -> Schedule | None:
    if frequency is None:
        return schedule_in_words(words)
    if frequency.every_other_day:
        if schedule_in_words(words) is Schedule.THREE_WEEKS:
            raise UnreadableError("the schedule is every other day on days 1-21")
        return Schedule.EVERY_OTHER_DAY
    structured = _bounded_schedule(repeat, bound_days)
    try:
        spoken = schedule_in_words(words)
    except UnreadableError:
        # Words that are not understood are no contradiction where they repeat the structure's number of days.
        if structured is Schedule.THREE_WEEKS and str(_THREE_WEEKS) in words:
            return structured
        raise
    if structured is Schedule.THREE_WEEKS and spoken is Schedule.CONTINUOUS:
        raise UnreadableError("text and structure of the dosage give different schedules")
    # A text that says days 1-21 beside a structure that is only "daily" is the commonest real shape.
    return spoken or structured


def _bounded_schedule(repeat: Json, bound_days: int | None) -> Schedule:
    if (
        "duration" in repeat
        and text(repeat.get("periodUnit")) == "d"
        and number(repeat.get("period", 1), "period") == CYCLE_DAYS
    ):
        return Schedule.THREE_WEEKS
    if bound_days is None or bound_days >= CYCLE_DAYS:
        return Schedule.CONTINUOUS
    if bound_days == _THREE_WEEKS:
        return Schedule.THREE_WEEKS
    raise UnreadableError(f"the schedule is bounded to {bound_days} days, neither 21 nor 28")


def _listed(raw: object) -> list[object]:
    return raw if isinstance(raw, list) else [] if raw is None else [raw]


def cycle_by_extension(order: Json) -> int | None:
    """Length of the repeated cycle by the Dutch modifier extension; unreadable with any other modifier extension."""
    cycle = None
    for extension in _modifiers(order) if _has_modifier(order) else ():
        url = text(extension.get("url"))
        if not url.endswith("RepeatPeriodCyclicalSchedule"):
            raise UnreadableError(f"modifierExtension {url or 'without url'} changes its meaning and is not known")
        cycle = duration_days(extension.get("valueDuration"))
    return cycle


def _has_modifier(order: Json) -> bool:
    """Whether there is a modifier extension anywhere in a resource: there hardly ever is."""
    parts: list[object] = [order]
    for part in parts:  # which grows on the way
        if isinstance(part, dict):
            if "modifierExtension" in part:
                return True
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return False


def _modifiers(value: object) -> Iterator[Json]:
    """Modifier extensions anywhere in a resource."""
    if isinstance(value, dict):
        yield from items(value.get("modifierExtension"))
        for name, part in value.items():
            if name not in {"modifierExtension", "contained"}:
                yield from _modifiers(part)
    elif isinstance(value, list):
        for part in value:
            yield from _modifiers(part)
