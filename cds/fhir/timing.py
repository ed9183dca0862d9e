"""How often and on which days a dose is taken: structured timing and, as a last resort, free text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal

from cds.fhir.primitives import Json, UnreadableError, codings, day, items, mapping, number, text, words_of
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
_THREE_WEEKS = Schedule.THREE_WEEKS.dosing_days

_TEXT_THREE_WEEKS = re.compile(
    r"\b(?:days?|d)\s*1\s*(?:-|–|to|through|until)\s*(?:day\s*|d)?21\b"
    r"|\b21\s*(?:days?\s*)?(?:of|/|out of)\s*(?:a\s*|every\s*|each\s*)?28\b"
    r"|\b(?:3|three)\s*weeks?\s*on\b.{0,12}\b(?:1|one)\s*week\s*off\b"
    r"|\b21\s*days?\s*(?:on\b.{0,12}\b7\s*(?:days?\s*)?off|followed by\s*7)",
    re.IGNORECASE,
)
_TEXT_CONTINUOUS = re.compile(
    r"\b(?:days?|d)\s*1\s*(?:-|–|to|through|until)\s*(?:day\s*|d)?28\b|\b28\s*(?:of|/|out of)\s*28\b|\bcontinuous(?:ly)?\b",
    re.IGNORECASE,
)
_TEXT_OTHER_CYCLE = re.compile(r"\bdays?\s*1\s*(?:-|–|to|through)\s*(?:day\s*)?(\d{1,2})\b", re.IGNORECASE)
_TEXT_TWICE = re.compile(
    r"\b(?:twice (?:a day|daily)|two times (?:a day|daily)|bid|b\.i\.d\.?|every 12 hours|q12h)\b", re.IGNORECASE
)
_TEXT_EVERY_OTHER_DAY = re.compile(
    r"\b(?:every other day|every second day|alternate days?|every 48 hours|q48h|every 2 days|qod)\b", re.IGNORECASE
)
_TEXT_DAILY = re.compile(
    r"\b(?:once (?:a day|daily)|daily|every day|each day|every 24 hours|qd|od|q24h|nightly)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Frequency:
    """Administrations per dosing day (1, 2 …) or every other day; ``slots`` are the times of the day named."""

    per_day: int
    every_other_day: bool = False
    slots: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimingRead:
    """What a timing says; ``schedule`` is None when it is not known, and then ``problem`` says why if anything does."""

    frequency: Frequency | None
    schedule: Schedule | None
    problem: str = ""
    start: date | None = None
    end: date | None = None


def read_timing(dosage: Json, terminology: Terminology, zone: tzinfo, *, ignore_bounds: bool) -> TimingRead:
    """Timing of one Dosage. Structure and text must agree, or one of them be silent.

    ``ignore_bounds`` is for orders that were stopped: their bound's end is the stop, not the schedule.
    """
    timing = mapping(dosage.get("timing"))
    repeat = mapping(timing.get("repeat"))
    words = "; ".join(part for part in (*_texts(dosage), words_of(timing.get("code"))) if part)
    start, end, bound_days = _bounds(repeat, zone)
    structured = _frequency(repeat) or _coded_frequency(timing, terminology)
    spoken = frequency_in_words(words)
    if (
        structured is not None
        and spoken is not None
        and (structured.per_day, structured.every_other_day)
        != (
            spoken.per_day,
            spoken.every_other_day,
        )
    ):
        raise UnreadableError("text and structure of the dosage give different frequencies")
    frequency = structured or spoken
    try:
        spoken_schedule = schedule_in_words(words)
        if ignore_bounds and not (frequency and frequency.every_other_day):
            return TimingRead(frequency, spoken_schedule, start=start, end=end)
        return TimingRead(frequency, _schedule(repeat, bound_days, frequency, spoken_schedule), start=start, end=end)
    except UnreadableError as error:
        return TimingRead(frequency, None, error.why, start, end)


def _texts(dosage: Json) -> tuple[str, str]:
    return text(dosage.get("text")), text(dosage.get("patientInstruction"))


def frequency_in_words(words: str) -> Frequency | None:
    """A frequency that free text names."""
    if _TEXT_TWICE.search(words):
        return Frequency(2)
    if _TEXT_EVERY_OTHER_DAY.search(words):
        return Frequency(1, every_other_day=True)
    return Frequency(1) if _TEXT_DAILY.search(words) else None


def schedule_in_words(words: str) -> Schedule | None:
    """A cycle that free text names; unreadable when it names one that no protocol has."""
    if _TEXT_THREE_WEEKS.search(words):
        return Schedule.THREE_WEEKS
    if _TEXT_CONTINUOUS.search(words):
        return Schedule.CONTINUOUS
    other = _TEXT_OTHER_CYCLE.search(words)
    if other is not None:
        raise UnreadableError(f"the schedule 'days 1-{other[1]}' is neither days 1-21 nor days 1-28")
    return None


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
    if "count" in repeat and "countMax" not in repeat:
        return None, None, int(number(repeat["count"], "timing.repeat.count"))
    return None, None, None


def duration_days(raw: object) -> int | None:
    """A Duration in whole days; None when its unit is not known."""
    duration = mapping(raw)
    if not duration:
        return None
    unit = text(duration.get("code")) or text(duration.get("unit"))
    unit = _UNIT_WORDS.get(unit.casefold(), unit)
    per_unit = _DAYS_IN_MONTH if unit == "mo" else _DAYS_IN.get(unit)
    return None if per_unit is None else int(number(duration.get("value"), "duration") * per_unit)


def _frequency(repeat: Json) -> Frequency | None:
    slots = tuple(str(slot) for name in ("timeOfDay", "when") for slot in _listed(repeat.get(name)))
    weekdays = set(_listed(repeat.get("dayOfWeek")))
    if weekdays and len(weekdays) < _WEEK:
        raise UnreadableError("the schedule names single days of the week")
    if "period" not in repeat:
        count = int(number(repeat["frequency"], "timing.repeat.frequency")) if "frequency" in repeat else len(slots)
        return Frequency(max(count, 1), slots=slots) if slots or weekdays else None
    times = number(repeat.get("frequency", 1), "timing.repeat.frequency")
    period = number(repeat["period"], "timing.repeat.period")
    for name, value in (("frequencyMax", times), ("periodMax", period)):
        if name in repeat and number(repeat[name], f"timing.repeat.{name}") != value:
            raise UnreadableError(f"the frequency is a range (timing.repeat.{name})")
    if _is_once_per_cycle(repeat, times, period):
        return Frequency(1, slots=slots)
    unit = text(repeat.get("periodUnit"))
    unit = _UNIT_WORDS.get(unit.casefold(), unit)
    if unit not in _DAYS_IN or not period:
        raise UnreadableError(f"timing.repeat.periodUnit '{unit}' is not usable")
    return _per_day(times / (period * _DAYS_IN[unit]), slots)


def _per_day(rate: Decimal, slots: tuple[str, ...]) -> Frequency:
    if abs(rate - Decimal("0.5")) < Decimal("0.001"):
        return Frequency(1, every_other_day=True, slots=slots)
    whole = rate.to_integral_value()
    if whole < 1 or abs(rate - whole) > Decimal("0.001"):
        raise UnreadableError("the frequency is neither daily nor every other day")
    return Frequency(int(whole), slots=slots)


def _is_once_per_cycle(repeat: Json, times: Decimal, period: Decimal) -> bool:
    """The older HL7 pattern for days 1-21: a duration of 21 days, once per 28 days."""
    lasts = (
        duration_days({"value": repeat.get("duration"), "unit": repeat.get("durationUnit")})
        if "duration" in repeat
        else None
    )
    return lasts == _THREE_WEEKS and times == 1 and period == CYCLE_DAYS and text(repeat.get("periodUnit")) == "d"


def _coded_frequency(timing: Json, terminology: Terminology) -> Frequency | None:
    for coding in codings(timing.get("code"), terminology):
        entry = terminology.timing_codes.get(coding.code) if coding.system == "v3-gts-abbreviation" else None
        if entry is not None:
            return _frequency(
                {"frequency": entry["frequency"], "period": entry["period"], "periodUnit": entry["period_unit"]}
            )
    return None


def _schedule(
    repeat: Json, bound_days: int | None, frequency: Frequency | None, spoken: Schedule | None
) -> Schedule | None:
    if frequency is None:
        return spoken
    if frequency.every_other_day:
        if spoken is Schedule.THREE_WEEKS:
            raise UnreadableError("the schedule is every other day on days 1-21")
        return Schedule.EVERY_OTHER_DAY
    structured = _bounded_schedule(repeat, bound_days)
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


def cyclic_extension_days(dosage: Json) -> int | None:
    """Length of the repeated cycle by the Dutch modifier extension; unreadable with any other modifier extension."""
    cycle = None
    for element in _modified(dosage):
        for extension in items(element.get("modifierExtension")):
            url = text(extension.get("url"))
            if not url.endswith("RepeatPeriodCyclicalSchedule"):
                raise UnreadableError(f"modifierExtension {url or 'without url'} is not known")
            cycle = duration_days(extension.get("valueDuration"))
    return cycle


def _modified(dosage: Json) -> list[Json]:
    timing = mapping(dosage.get("timing"))
    return [dosage, timing, mapping(timing.get("repeat")), *items(dosage.get("doseAndRate"))]
