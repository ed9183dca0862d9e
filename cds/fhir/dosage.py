"""Dose per day and schedule of an order, from its dosage lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import date, tzinfo
from decimal import Decimal
from typing import NamedTuple

from cds.fhir.free_text import check_dose_in_words, dose_in_words, says_as_needed
from cds.fhir.primitives import Json, UnreadableError, day, first_code, items, mapping, number, text, words_of
from cds.fhir.timing import TimingRead, read_timing, words_about
from cds.level import Schedule
from cds.remembering import remembered
from cds.snapshot import Dosing, Drug
from cds.terminology import Terminology

_MG_PER = {"mg": Decimal(1), "g": Decimal(1000), "ug": Decimal("0.001")}
_SAME_UNIT = {"milligram": "mg", "mcg": "ug"}
_PIECES = re.compile(
    r"\{?(?:cap(?:sule)?s?|caps|pills?|tab(?:let)?s?|tbl|each|ea|unit(?:s)?|dosage form|dose|syringes?|hard capsule"
    r"|capsule, hard)\}?|1",
    re.IGNORECASE,
)
_PREFERRED_TYPE = "ordered"
_PIECE = "piece"
_AS_NEEDED = ("asNeededBoolean", "asNeeded", "asNeededCodeableConcept", "asNeededFor")


class OrderDosing(NamedTuple):
    """Dosing of an order and the days its bounds name."""

    dosing: Dosing
    start: date | None
    end: date | None


class _Line(NamedTuple):
    dose_mg: Decimal
    timing: TimingRead
    sequence: int | None


def read_dosing(
    lines: Sequence[Json], drug: Drug, terminology: Terminology, zone: tzinfo, *, stopped: bool
) -> OrderDosing:
    """Add up the lines of an order. What cannot be read leaves dose or schedule unknown, with the reason."""
    instructions = " ".join([part for line in lines for part in _instructions(line) if part])
    stated = any(line.get("doseAndRate") or line.get("doseQuantity") or text(line.get("text")) for line in lines)
    starts, ends, read, problems = [], [], [], []
    for line in lines:
        try:
            part = _line(line, drug, terminology, zone, stopped=stopped)
        except UnreadableError as error:
            problems.append(error.why)
            continue
        read.append(part)
        starts += [part.timing.start] if part.timing.start else []
        ends += [part.timing.end] if part.timing.end else []
    if not lines or not stated:
        problems = ["no dose is stated"]
    start = min(starts) if starts else _bound(lines, "start", zone)
    end = max(ends) if ends else _bound(lines, "end", zone)
    if problems:
        return OrderDosing(Dosing(dose_stated=stated, instructions=instructions, problems=tuple(problems)), start, end)
    return OrderDosing(_together(read, instructions), start, end)


def is_as_needed(line: Json) -> bool:
    """Whether a dosage is taken only when needed, by its structure or its words."""
    return marked_as_needed(line) or says_as_needed(text(line.get("text")))


def marked_as_needed(line: Json) -> bool:
    """Whether the structure of a dosage says that it is taken only when needed."""
    return not line.keys().isdisjoint(_AS_NEEDED) and any(line.get(name) for name in _AS_NEEDED)


def _line(line: Json, drug: Drug, terminology: Terminology, zone: tzinfo, *, stopped: bool) -> _Line:
    strength_mg, strengths = drug.strength_mg, terminology.products.get(drug.token, {})
    if is_as_needed(line):
        raise UnreadableError("it is ordered as needed")
    words = words_about(line)
    timing = read_timing(mapping(line.get("timing")), words, terminology, zone, ignore_bounds=stopped)
    dose = dose_of_a_line(line, strength_mg)
    if timing.frequency is None:
        raise UnreadableError("how often the dose is taken is not stated")
    check_dose_in_words(words, strengths, dose, dose * timing.frequency.per_day, strength_mg)
    sequence = line.get("sequence")
    return _Line(dose, timing, sequence if isinstance(sequence, int) else None)


def dose_of_a_line(line: Json, strength_mg: Decimal | None) -> Decimal:
    """Milligrams per administration: the ordered dose where several kinds of dose are given."""
    given = items(line.get("doseAndRate"))
    if not given and "doseQuantity" in line:
        given = [line]
    dosed = [entry for entry in given if "doseQuantity" in entry or "doseRange" in entry]
    if len(dosed) == 1:
        return _dose_mg(dosed[0], strength_mg)
    ordered = [entry for entry in dosed if first_code(entry.get("type")) == _PREFERRED_TYPE]
    untyped = [entry for entry in dosed if "type" not in entry]
    chosen = ordered or untyped or dosed
    if not chosen:
        return dose_in_words(words_about(line), strength_mg)
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
    unit = _unit(quantity)
    if isinstance(unit, Decimal):
        return value * unit
    if strength_mg is None:
        raise UnreadableError("the dose is in capsules and the capsule's strength is not known")
    return value * strength_mg


def is_in_pieces(quantity: Json) -> bool:
    """Whether a dose counts capsules; one in a unit of weight, or in a unit that is not known, does not."""
    try:
        return _unit(quantity) is None
    except UnreadableError:
        return False


def _unit(quantity: Json) -> Decimal | None:
    """Milligrams per unit, or None for pieces. Code and printed unit must mean the same; a foreign code says nothing."""
    code, printed = text(quantity.get("code")), text(quantity.get("unit"))
    if code and printed and code != printed:
        system = text(quantity.get("system"))
        code = "" if system and "unitsofmeasure" not in system else code
    meanings = {_meaning(unit) for unit in (code, printed) if unit} or {_PIECE}
    if len(meanings) > 1 or "" in meanings:
        raise UnreadableError(f"dose unit '{code or printed}' is not known or contradicts '{printed or code}'")
    return _MG_PER.get(meanings.pop())


@remembered
def _meaning(unit: str) -> str:
    """The unit's word in the table, the word for pieces, or an empty one."""
    folded = unit.casefold()
    folded = _SAME_UNIT.get(folded, folded)
    if folded in _MG_PER:
        return folded
    return _PIECE if _PIECES.fullmatch(unit) else ""


def _together(lines: list[_Line], instructions: str) -> Dosing:
    """Lines that cover the same days add up; lines that follow one another leave the schedule unknown."""
    if len(lines) == 1:
        return _alone(lines[0], instructions)
    problems = [line.timing.problem for line in lines if line.timing.problem]
    daily = [line.dose_mg * (line.timing.frequency.per_day if line.timing.frequency else 1) for line in lines]
    schedules = {line.timing.schedule for line in lines}
    if _follow_one_another(lines):
        problems.append("the dose changes during the order, so there is no one schedule")
        return Dosing(max(daily), None, dose_stated=True, instructions=instructions, problems=tuple(problems))
    if len(schedules) > 1:
        problems.append("its dosage lines have different schedules")
    slots = {line.timing.frequency.slots for line in lines if line.timing.frequency is not None} - {()}
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


def _alone(line: _Line, instructions: str) -> Dosing:
    per_day = line.timing.frequency.per_day if line.timing.frequency else 1
    problems = (line.timing.problem,) if line.timing.problem else ()
    daily = Decimal(0) + line.dose_mg * per_day
    return Dosing(daily, line.timing.schedule, per_day, dose_stated=True, instructions=instructions, problems=problems)


def _follow_one_another(lines: list[_Line]) -> bool:
    bounded = sorted(
        (line.timing.start, line.timing.end)
        for line in lines
        if line.timing.start is not None and line.timing.end is not None
    )
    sequences = {line.sequence for line in lines}
    if len(sequences) > 1 and any(line.timing.bounded for line in lines):
        return True
    return len(bounded) == len(lines) and any(
        later_start > earlier_end for (_, earlier_end), (later_start, _) in itertools.pairwise(bounded)
    )


def _bound(lines: Sequence[Json], end: str, zone: tzinfo) -> date | None:
    """Start or end of a bound even where the rest of the line cannot be read."""
    periods = [mapping(mapping(mapping(line.get("timing")).get("repeat")).get("boundsPeriod")) for line in lines]
    return next((day(period.get(end), zone) for period in periods if period), None)


def _instructions(line: Json) -> list[str]:
    additional = [words_of(concept) for concept in items(line.get("additionalInstruction"))]
    return [text(line.get("text")), text(line.get("patientInstruction")), *additional]
