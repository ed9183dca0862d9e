"""Dose per day and schedule of an order, from its dosage lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal

from cds.fhir.primitives import Json, UnreadableError, day, first_code, items, mapping, number, text, words_of
from cds.fhir.timing import TimingRead, cyclic_extension_days, read_timing
from cds.level import CYCLE_DAYS, Schedule
from cds.snapshot import Dosing
from cds.terminology import Terminology

_MG_PER = {
    "mg": Decimal(1),
    "g": Decimal(1000),
    "ug": Decimal("0.001"),
    "mcg": Decimal("0.001"),
    "milligram": Decimal(1),
}
_PIECES = re.compile(
    r"\{?(?:cap(?:sule)?s?|caps|pills?|tab(?:let)?s?|tbl|each|ea|unit(?:s)?|dosage form|dose|hard capsule|capsule, hard)\}?|1|",
    re.IGNORECASE,
)
_TEXT_DOSE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:mg|milligrams?)\b", re.IGNORECASE)
_PREFERRED_TYPE = "ordered"


@dataclass(frozen=True)
class OrderDosing:
    """Dosing of an order and the days its bounds name."""

    dosing: Dosing
    start: date | None
    end: date | None


@dataclass(frozen=True)
class _Line:
    dose_mg: Decimal
    timing: TimingRead


def read_dosing(
    lines: Sequence[Json], strength_mg: Decimal | None, terminology: Terminology, zone: tzinfo, *, stopped: bool
) -> OrderDosing:
    """Add up the lines of an order. What cannot be read leaves dose or schedule unknown, with the reason."""
    instructions = " ".join(part for line in lines for part in _instructions(line) if part)
    stated = any(line.get("doseAndRate") or line.get("doseQuantity") or text(line.get("text")) for line in lines)
    starts, ends, read, problems = [], [], [], []
    for line in lines:
        try:
            part = _line(line, strength_mg, terminology, zone, stopped=stopped)
        except UnreadableError as error:
            problems.append(error.why)
            continue
        read.append(part)
        starts += [part.timing.start] if part.timing.start else []
        ends += [part.timing.end] if part.timing.end else []
    if not lines or not stated:
        problems = ["no dose is stated"]
    start, end = min(starts, default=_bound_start(lines, zone)), max(ends, default=None)
    if problems:
        return OrderDosing(Dosing(dose_stated=stated, instructions=instructions, problems=tuple(problems)), start, end)
    return OrderDosing(_together(read, instructions), start, end)


def _line(line: Json, strength_mg: Decimal | None, terminology: Terminology, zone: tzinfo, *, stopped: bool) -> _Line:
    if line.get("asNeededBoolean") is True or line.get("asNeeded") is True or line.get("asNeededCodeableConcept"):
        raise UnreadableError("it is ordered as needed")
    cycle = cyclic_extension_days(line)
    timing = read_timing(line, terminology, zone, ignore_bounds=stopped)
    if cycle is not None and cycle != CYCLE_DAYS:
        timing = TimingRead(
            timing.frequency, None, f"the schedule repeats every {cycle} days", timing.start, timing.end
        )
    dose = _dose(line, strength_mg)
    if timing.frequency is None:
        raise UnreadableError("how often the dose is taken is not stated")
    return _Line(dose, timing)


def _dose(line: Json, strength_mg: Decimal | None) -> Decimal:
    """Milligrams per administration: the ordered dose where several kinds of dose are given."""
    given = items(line.get("doseAndRate"))
    if not given and "doseQuantity" in line:
        given = [line]
    dosed = [entry for entry in given if "doseQuantity" in entry or "doseRange" in entry]
    ordered = [entry for entry in dosed if first_code(entry.get("type")) == _PREFERRED_TYPE]
    untyped = [entry for entry in dosed if "type" not in entry]
    chosen = ordered or untyped or dosed
    if not chosen:
        return _dose_in_words(text(line.get("text")))
    doses = {_dose_mg(entry, strength_mg) for entry in chosen}
    if len(doses) > 1:
        raise UnreadableError("several doses are given for one administration")
    return doses.pop()


def _dose_mg(entry: Json, strength_mg: Decimal | None) -> Decimal:
    if "doseRange" in entry:
        low, high = (mapping(mapping(entry["doseRange"]).get(end)) for end in ("low", "high"))
        if _quantity_mg(low, strength_mg) != _quantity_mg(high, strength_mg):
            raise UnreadableError("the dose is a range")
        return _quantity_mg(high, strength_mg)
    return _quantity_mg(mapping(entry.get("doseQuantity")), strength_mg)


def _quantity_mg(quantity: Json, strength_mg: Decimal | None) -> Decimal:
    value = number(quantity.get("value"), "doseQuantity.value")
    if value <= 0 or quantity.get("comparator") is not None:
        raise UnreadableError(f"doseQuantity.value {value} is not a dose")
    units = [text(quantity.get("code")), text(quantity.get("unit"))]
    for unit in units:
        if unit.casefold() in _MG_PER:
            return value * _MG_PER[unit.casefold()]
    if not all(_PIECES.fullmatch(unit) for unit in units):
        raise UnreadableError(f"dose unit '{units[0] or units[1]}' is not known")
    if strength_mg is None:
        raise UnreadableError("the dose is in capsules and the capsule's strength is not known")
    return value * strength_mg


def _dose_in_words(words: str) -> Decimal:
    doses = {Decimal(match[1].replace(",", ".")) for match in _TEXT_DOSE.finditer(words)}
    if len(doses) != 1:
        raise UnreadableError("no dose is stated" if not doses else "the text names several doses")
    return doses.pop()


def _together(lines: list[_Line], instructions: str) -> Dosing:
    """Lines that cover the same days add up; lines that follow one another leave the schedule unknown."""
    problems = [line.timing.problem for line in lines if line.timing.problem]
    daily = [line.dose_mg * (line.timing.frequency.per_day if line.timing.frequency else 1) for line in lines]
    schedules = {line.timing.schedule for line in lines}
    if _follow_one_another(lines):
        problems.append("the dose changes during the order, so there is no one schedule")
        return Dosing(max(daily), None, dose_stated=True, instructions=instructions, problems=tuple(problems))
    if len(schedules) > 1:
        problems.append("its dosage lines have different schedules")
    slots = {line.timing.frequency.slots for line in lines if line.timing.frequency is not None}
    per_day = max(line.timing.frequency.per_day for line in lines if line.timing.frequency is not None)
    schedule: Schedule | None = schedules.pop() if len(schedules) == 1 else None
    return Dosing(
        sum(daily, Decimal(0)),
        schedule,
        max(per_day, len(slots)),
        dose_stated=True,
        instructions=instructions,
        problems=tuple(dict.fromkeys(problems)),
    )


def _follow_one_another(lines: list[_Line]) -> bool:
    bounded = sorted(
        (line.timing.start, line.timing.end)
        for line in lines
        if line.timing.start is not None and line.timing.end is not None
    )
    return len(bounded) == len(lines) and any(
        later_start > earlier_end for (_, earlier_end), (later_start, _) in itertools.pairwise(bounded)
    )


def _bound_start(lines: Sequence[Json], zone: tzinfo) -> date | None:
    """Start of a bound even where the rest of the line cannot be read."""
    for line in lines:
        period = mapping(mapping(mapping(line.get("timing")).get("repeat")).get("boundsPeriod"))
        if period:
            return day(period.get("start"), zone)
    return None


def _instructions(line: Json) -> list[str]:
    additional = [words_of(concept) for concept in items(line.get("additionalInstruction"))]
    return [text(line.get("text")), text(line.get("patientInstruction")), *additional]
